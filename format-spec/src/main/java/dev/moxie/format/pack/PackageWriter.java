package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Disk;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.file.StreamedFile;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.view.View;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListMap;
import org.jspecify.annotations.Nullable;

/**
 * Writes a package so that it is either there and complete or not there at all, as {@link
 * StagedFolder} does. {@link #close} without {@link #commit} keeps the shards that are finished,
 * and a journal of them beside the target; a later writer of the same job goes on from there.
 *
 * <p>Shards and files may be written from several threads; the result does not depend on their
 * order.
 */
public final class PackageWriter implements AutoCloseable {
  private final StagedFolder folder;
  private final Map<String, Manifest.Shard> shards =
      new ConcurrentSkipListMap<>(PackagePaths.ORDER);
  private final Map<String, List<IndexRow>> rows = new ConcurrentSkipListMap<>(PackagePaths.ORDER);
  private final Map<String, Manifest.OtherFile> files =
      new ConcurrentSkipListMap<>(PackagePaths.ORDER);

  /** The bytes of one leaf, from the first to the last. */
  @FunctionalInterface
  public interface LeafBytes {
    /** Fills the buffer with the next bytes; never asked for more than there are. */
    void read(ByteBuffer into) throws IOException;
  }

  /** Delivers the bytes of leaves, one leaf after the other. */
  @FunctionalInterface
  public interface LeafSource {
    /** Opens a leaf; one opened before is done with. */
    LeafBytes open(TensorSpec tensor, TensorSpec.Leaf leaf) throws IOException;
  }

  /**
   * Where the bytes of a leaf came from, and what was done to them.
   *
   * @param view which of the tensor's elements, in which order; null if all as they lie
   * @param sha256 that the bytes must have; null where nobody knows it yet
   */
  public record Origin(
      String file, String tensor, @Nullable View view, String transform, @Nullable String sha256) {}

  /** What became of a shard that was to be written. */
  public enum Outcome {
    /** It was written. */
    WRITTEN,
    /** An interrupted writer had finished it, and each of its digests still holds. */
    KEPT,
    /** An interrupted writer had claimed it, but not all digests held: it was written again. */
    REWRITTEN
  }

  private PackageWriter(StagedFolder folder) {
    this.folder = folder;
  }

  /**
   * Starts a package, or goes on with one that was interrupted.
   *
   * @param force whether a finished package may be replaced, once the new one is complete, and
   *     whether to start over where something was interrupted
   * @param job everything that the bytes of the package depend on: what was interrupted is gone on
   *     with only if all of it is the same; and the files to be written, index and manifest aside
   * @throws UsageException if another writer has the target, if it exists and may not be replaced,
   *     if another job was interrupted there, or what lies beside it is not ours
   * @throws CorruptException if what an interrupted writer recorded cannot be read
   */
  public static PackageWriter create(Path target, boolean force, StagedFolder.Job job) {
    MoxiePackage.requireOutside(StagedFile.place(target));
    Set<String> names = new HashSet<>(job.files());
    Collections.addAll(names, PackagePaths.INDEX, PackagePaths.MANIFEST);
    return new PackageWriter(
        StagedFolder.open(
            target, new StagedFolder.Job(job.facts(), names), force, PackageWriter::requireFree));
  }

  /**
   * Whether an interrupted writer of this job had already given the package its name; nothing is
   * left to write then.
   */
  public boolean isComplete() {
    return folder.isComplete();
  }

  private static void requireFree(Path target, boolean replace) {
    if (!Files.exists(target)) {
      return;
    }
    boolean isPackage = MoxiePackage.isPackage(target);
    if (!isPackage && !StagedFolder.isEmptyFolder(target)) {
      throw new UsageException(
          target.toString(),
          "a new folder, an empty one or a package",
          "something else",
          "choose another target, Moxie does not overwrite what it did not write");
    }
    if (isPackage && !replace) {
      throw new UsageException(
          target.toString(),
          "no package",
          "a finished one",
          "choose another target, or pass --force to replace it once the new one is complete");
    }
    if (isPackage) {
      List<String> strangers = strangers(target);
      if (!strangers.isEmpty()) {
        throw new UsageException(
            target.toString(),
            "a package with nothing else in its folder",
            strangers.size() + " files that are not the package's, " + strangers.getFirst(),
            "move them away first, replacing the package would delete them");
      }
    }
  }

  /** Files in a package's folder that its manifest does not list. */
  private static List<String> strangers(Path target) {
    try {
      return ManifestFile.read(target.resolve(PackagePaths.MANIFEST)).strangers(target);
    } catch (InvalidInputException e) {
      throw new UsageException(
          target.toString(),
          "a package whose manifest says what belongs to it",
          "a damaged one",
          "move the folder away or delete it yourself");
    }
  }

  /**
   * Writes one shard, leaf by leaf, each byte once, digesting on the way; or keeps it, if it was
   * finished before.
   *
   * @param origins of the leaves, in the order of their bytes; fillers have none
   * @throws UncheckedIOException if reading or writing fails
   * @throws CorruptException if a leaf is not what its origin says
   */
  public Outcome writeShard(ShardLayout layout, List<Origin> origins, LeafSource source) {
    Path file = folder.path(layout.file());
    byte[] header = layout.header().encode();
    Optional<List<String>> claimed = folder.finishedBefore(layout.file());
    try {
      Optional<List<Digests.Result>> kept =
          claimed.isPresent()
              ? Digests.ofFile(file, header, layout.header().fileBytes(), extents(layout))
                  .filter(found -> sha256(found).equals(claimed.get()))
              : Optional.empty();
      List<Digests.Result> digests =
          kept.isPresent() ? kept.get() : write(file, layout, header, origins, source);
      if (kept.isEmpty()) {
        folder.finished(layout.file(), sha256(digests));
      }
      rows.put(layout.file(), rows(layout, digests, origins));
      shards.put(
          layout.file(),
          new Manifest.Shard(
              layout.file(),
              layout.header().fileBytes(),
              header.length,
              Digests.sha256(header),
              layout.rank()));
      return kept.isPresent()
          ? Outcome.KEPT
          : claimed.isPresent() ? Outcome.REWRITTEN : Outcome.WRITTEN;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<String> sha256(List<Digests.Result> digests) {
    return digests.stream().map(Digests.Result::sha256).toList();
  }

  /** Where the leaves lie, fillers included. */
  private static List<Digests.Extent> extents(ShardLayout layout) {
    List<Digests.Extent> extents = new ArrayList<>();
    for (ShardLayout.Placed placed : layout.tensors()) {
      for (TensorSpec.Leaf leaf : placed.spec().leaves()) {
        long size = leaf.shape().bytes(placed.dtype());
        extents.add(new Digests.Extent(placed.offset() + leaf.position() * size, size));
      }
    }
    return extents;
  }

  private static List<Digests.Result> write(
      Path path, ShardLayout layout, byte[] header, List<Origin> origins, LeafSource source)
      throws IOException {
    List<Digests.Result> results = new ArrayList<>();
    Iterator<Origin> origin = origins.iterator();
    Disk.delete(path);
    try (var file = StreamedFile.create(path, layout.header().fileBytes())) {
      file.write(ByteBuffer.wrap(header));
      var digests = new Digests();
      for (ShardLayout.Placed placed : layout.tensors()) {
        for (TensorSpec.Leaf leaf : placed.spec().leaves()) {
          LeafBytes bytes =
              placed.spec().role() == Role.PADDING
                  ? PackageWriter::zeros
                  : source.open(placed.spec(), leaf);
          long size = leaf.shape().bytes(placed.dtype());
          for (long done = 0; done < size; ) {
            done += file.fill(size - done, bytes::read, digests::update);
          }
          results.add(digests.finish());
          if (placed.spec().role() != Role.PADDING) {
            requireDigest(origin.next(), results.getLast());
          }
        }
      }
      file.finish();
    }
    return results;
  }

  private static void requireDigest(Origin origin, Digests.Result found) {
    if (origin.sha256() != null && !origin.sha256().equals(found.sha256())) {
      throw new CorruptException(
          origin.tensor(),
          "SHA-256 " + origin.sha256(),
          found.sha256(),
          "what it is read from was altered or damaged, restore it");
    }
  }

  private static void zeros(ByteBuffer into) {
    while (into.hasRemaining()) {
      into.put((byte) 0);
    }
  }

  /** The rows of a shard, in the order of its bytes. */
  private static List<IndexRow> rows(
      ShardLayout layout, List<Digests.Result> digests, List<Origin> origins) {
    List<IndexRow> rows = new ArrayList<>();
    Iterator<Digests.Result> digest = digests.iterator();
    Iterator<Origin> origin = origins.iterator();
    for (ShardLayout.Placed placed : layout.tensors()) {
      TensorSpec spec = placed.spec();
      boolean stack = spec.stack() != null;
      if (stack) {
        rows.add(row(IndexRow.Kind.STACK, layout.file(), placed, null, null, null));
      }
      for (TensorSpec.Leaf leaf : spec.leaves()) {
        rows.add(
            row(
                stack ? IndexRow.Kind.SLICE : IndexRow.Kind.TENSOR,
                layout.file(),
                placed,
                leaf,
                digest.next(),
                spec.role() == Role.PADDING ? null : origin.next()));
      }
    }
    return rows;
  }

  private static IndexRow row(
      IndexRow.Kind kind,
      String shard,
      ShardLayout.Placed placed,
      TensorSpec.@Nullable Leaf leaf,
      Digests.@Nullable Result digests,
      @Nullable Origin origin) {
    TensorSpec spec = placed.spec();
    long bytes = leaf == null ? placed.bytes() : leaf.shape().bytes(placed.dtype());
    return new IndexRow(
        kind,
        spec.name(),
        spec.role(),
        spec.layer(),
        leaf == null ? null : leaf.expert(),
        leaf == null ? null : leaf.projection(),
        placed.dtype(),
        placed.encoding(),
        leaf == null ? spec.shape() : leaf.shape(),
        shard,
        placed.offset() + (leaf == null ? 0 : leaf.position() * bytes),
        bytes,
        digests == null ? null : digests.crc32c(),
        digests == null ? null : digests.sha256(),
        origin == null ? null : origin.file(),
        origin == null ? null : origin.tensor(),
        origin == null ? null : origin.view(),
        origin == null ? null : origin.transform());
  }

  /** Writes a file that is no shard. */
  public void writeFile(String path, byte[] bytes) {
    PackagePaths.require(path, path);
    try {
      folder.write(path, bytes);
      files.put(path, new Manifest.OtherFile(path, bytes.length, Digests.sha256(bytes)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes the index, then the manifest, then gives the package its name. */
  public void commit(
      Manifest.Producer producer,
      Architecture architecture,
      Manifest.Layout layout,
      Manifest.Provenance provenance) {
    List<IndexRow> allRows = rows.values().stream().flatMap(List::stream).toList();
    writeFile(PackagePaths.INDEX, ArrowIndex.encode(allRows));
    var manifest =
        new Manifest(
            Manifest.FORMAT,
            Manifest.CURRENT,
            producer,
            architecture,
            allRows.stream().map(row -> row.encoding().id()).distinct().sorted().toList(),
            layout,
            List.copyOf(shards.values()),
            List.copyOf(files.values()),
            provenance);
    try {
      folder.write(PackagePaths.MANIFEST, ManifestFile.encode(manifest));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    folder.commit();
  }

  /** Lets {@link #close} keep nothing: what was written is not what was asked for. */
  public void discard() {
    folder.discard();
  }

  /** Keeps what is finished of a package that was neither committed nor discarded. */
  @Override
  public void close() {
    folder.close();
  }
}
