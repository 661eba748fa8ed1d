package dev.moxie.format.pack;

import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Channels;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import org.jspecify.annotations.Nullable;

/**
 * Writes a package so that it is either there and complete or not there at all, as {@link
 * StagedFolder} does. {@link #close} without {@link #commit} leaves nothing behind.
 *
 * <p>Shards and files may be written from several threads; the result does not depend on their
 * order.
 */
public final class PackageWriter implements AutoCloseable {
  private static final int BUFFER_BYTES = 1 << 20;

  private final StagedFolder folder;
  private final Map<String, Manifest.Shard> shards = new ConcurrentSkipListMap<>();
  private final Map<String, List<IndexRow>> rows = new ConcurrentSkipListMap<>();
  private final Map<String, Manifest.OtherFile> files = new ConcurrentSkipListMap<>();

  /** Takes bytes, in order; the buffer may be reused afterwards. */
  @FunctionalInterface
  public interface Sink {
    void accept(ByteBuffer chunk) throws IOException;
  }

  /** Delivers the bytes of one leaf. */
  @FunctionalInterface
  public interface LeafSource {
    /** Hands all bytes of the leaf to the sink and says where they came from. */
    Origin copy(TensorSpec tensor, TensorSpec.Leaf leaf, Sink sink) throws IOException;
  }

  /** Where the bytes of a leaf came from, and what was done to them. */
  public record Origin(String file, String tensor, String transform) {}

  private PackageWriter(StagedFolder folder) {
    this.folder = folder;
  }

  /**
   * Starts a package.
   *
   * @param replace whether an existing package may be replaced, once the new one is complete
   * @throws UsageException if another writer has the target, or if it exists and may not be
   *     replaced
   */
  public static PackageWriter create(Path target, boolean replace) {
    return new PackageWriter(
        StagedFolder.create(
            target,
            resolved -> {
              MoxiePackage.requireOutside(resolved);
              requireFree(resolved, replace);
            }));
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
   * Writes one shard, leaf by leaf, each byte once, digesting on the way.
   *
   * @throws UncheckedIOException if reading or writing fails
   */
  public void writeShard(ShardLayout layout, LeafSource source) {
    Path file = folder.path().resolve(layout.file());
    List<IndexRow> shardRows = new ArrayList<>();
    byte[] header = layout.header().encode();
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      Channels.writeFully(out, ByteBuffer.wrap(header));
      var digests = new Digests();
      for (ShardLayout.Placed placed : layout.tensors()) {
        writeTensor(out, layout.file(), placed, source, digests, shardRows);
      }
      out.force(true);
    } catch (IOException e) {
      throw new UncheckedIOException(located(file, e));
    }
    rows.put(layout.file(), shardRows);
    shards.put(
        layout.file(),
        new Manifest.Shard(
            layout.file(), layout.header().fileBytes(), header.length, Digests.sha256(header)));
  }

  /** A full disk does not say which file was being written. */
  private static IOException located(Path file, IOException e) {
    return e instanceof FileSystemException
        ? e
        : new FileSystemException(file.toString(), null, e.getMessage());
  }

  private static void writeTensor(
      FileChannel out,
      String shard,
      ShardLayout.Placed placed,
      LeafSource source,
      Digests digests,
      List<IndexRow> shardRows)
      throws IOException {
    TensorSpec spec = placed.spec();
    if (spec.stack() != null) {
      shardRows.add(row(IndexRow.Kind.STACK, shard, placed, null, null, null));
    }
    for (TensorSpec.Leaf leaf : spec.leaves()) {
      long expected = leaf.shape().bytes(placed.dtype());
      long start = out.position();
      Sink sink =
          chunk -> {
            digests.update(chunk);
            Channels.writeFully(out, chunk);
          };
      @Nullable Origin origin = null;
      if (spec.role() == Role.PADDING) {
        sink.accept(ByteBuffer.allocate(Math.toIntExact(expected)));
      } else {
        origin = source.copy(spec, leaf, sink);
      }
      if (out.position() - start != expected) {
        throw new IllegalStateException(
            leaf.source() + ": " + (out.position() - start) + " bytes for " + expected);
      }
      IndexRow.Kind kind = spec.stack() == null ? IndexRow.Kind.TENSOR : IndexRow.Kind.SLICE;
      shardRows.add(row(kind, shard, placed, leaf, digests.finish(), origin));
    }
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
        IndexRow.encodingOf(placed.dtype()),
        leaf == null ? spec.shape() : leaf.shape(),
        shard,
        placed.offset() + (leaf == null ? 0 : leaf.position() * bytes),
        bytes,
        digests == null ? null : digests.crc32c(),
        digests == null ? null : digests.sha256(),
        origin == null ? null : origin.file(),
        origin == null ? null : origin.tensor(),
        origin == null ? null : origin.transform());
  }

  /** Takes a file over, byte for byte. */
  public void copyFile(String path, Path from) {
    try (InputStream in = Files.newInputStream(from)) {
      writeFile(path, in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes a file from a stream. */
  public void writeFile(String path, InputStream in) {
    Path file = folder.path().resolve(PackagePaths.require(path, path));
    var digests = new Digests();
    try {
      Files.createDirectories(file.getParent());
      try (FileChannel out =
          FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        byte[] buffer = new byte[BUFFER_BYTES];
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
          ByteBuffer chunk = ByteBuffer.wrap(buffer, 0, n);
          digests.update(chunk);
          Channels.writeFully(out, chunk);
        }
        out.force(true);
        files.put(path, new Manifest.OtherFile(path, out.position(), digests.finish().sha256()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes the index, then the manifest, then gives the package its name. */
  public void commit(
      Manifest.Producer producer, Architecture architecture, Manifest.Provenance provenance) {
    List<IndexRow> allRows = rows.values().stream().flatMap(List::stream).toList();
    writeFile(PackagePaths.INDEX, new java.io.ByteArrayInputStream(ArrowIndex.encode(allRows)));
    var manifest =
        new Manifest(
            Manifest.FORMAT,
            Manifest.CURRENT,
            producer,
            architecture,
            allRows.stream().map(IndexRow::encoding).distinct().sorted().toList(),
            List.copyOf(shards.values()),
            List.copyOf(files.values()),
            provenance);
    try {
      Path file = folder.path().resolve(PackagePaths.MANIFEST);
      try (FileChannel out =
          FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        Channels.writeFully(out, ByteBuffer.wrap(ManifestFile.encode(manifest)));
        out.force(true);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    folder.commit();
  }

  /** Removes what {@link #commit} did not give its name. */
  @Override
  public void close() {
    folder.close();
  }
}
