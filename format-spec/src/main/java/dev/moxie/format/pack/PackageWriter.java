package dev.moxie.format.pack;

import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import org.jspecify.annotations.Nullable;

/**
 * Writes a package so that it is either there and complete or not there at all: everything goes to
 * a sibling folder, is synced, and takes the target's name in one rename. A package that is
 * replaced is set aside just before and deleted after. {@link #close} without {@link #commit}
 * leaves nothing behind.
 *
 * <p>Shards and files may be written from several threads; the result does not depend on their
 * order.
 */
public final class PackageWriter implements AutoCloseable {
  private static final int BUFFER_BYTES = 1 << 20;

  private final Path target;
  private final Path staging;
  private final boolean replace;
  private final FileChannel lock;
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

  private PackageWriter(Path target, Path staging, boolean replace, FileChannel lock) {
    this.target = target;
    this.staging = staging;
    this.replace = replace;
    this.lock = lock;
  }

  /**
   * Starts a package. Only one writer at a time may have a target; what an interrupted one left is
   * removed, and a package that it had moved aside is put back.
   *
   * @param replace whether an existing package may be replaced, once the new one is complete
   * @throws UsageException if another writer has the target, or if it exists and may not be
   *     replaced
   */
  public static PackageWriter create(Path target, boolean replace) {
    Path absolute = resolve(target);
    requireOutside(absolute);
    @Nullable FileChannel lock = null;
    try {
      Files.createDirectories(parent(absolute));
      lock = lock(absolute);
      Path old = sibling(absolute, "old");
      if (Files.exists(old) && !Files.exists(absolute)) {
        Files.move(old, absolute, StandardCopyOption.ATOMIC_MOVE);
      }
      requireFree(absolute, replace);
      Path staging = sibling(absolute, "partial");
      deleteTree(staging);
      Files.createDirectories(staging);
      return new PackageWriter(absolute, staging, replace, lock);
    } catch (IOException e) {
      release(lock, absolute);
      throw new UncheckedIOException(e);
    } catch (RuntimeException e) {
      release(lock, absolute);
      throw e;
    }
  }

  /** Where the target really lies: replacing a link to a package replaces the package. */
  private static Path resolve(Path target) {
    if (Files.isSymbolicLink(target) && !Files.exists(target)) {
      throw new UsageException(
          target.toString(), "a folder to make", "a link that leads nowhere", "remove the link");
    }
    try {
      return Files.exists(target) ? target.toRealPath() : target.toAbsolutePath().normalize();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void requireOutside(Path target) {
    for (Path above = target.getParent(); above != null; above = above.getParent()) {
      if (MoxiePackage.isPackage(above)) {
        throw new UsageException(
            target.toString(),
            "a target outside other packages",
            "one inside the package " + above,
            "choose another target");
      }
    }
  }

  private static Path sibling(Path target, String what) {
    return target.resolveSibling("." + target.getFileName() + ".moxie-" + what);
  }

  private static Path parent(Path target) {
    return target.resolveSibling(".").normalize();
  }

  private static FileChannel lock(Path target) throws IOException {
    FileChannel channel =
        FileChannel.open(
            sibling(target, "lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    boolean free;
    try {
      // A lock on a file that its owner has just removed is worth nothing.
      free = channel.tryLock() != null && Files.exists(sibling(target, "lock"));
    } catch (OverlappingFileLockException e) {
      free = false;
    }
    if (!free) {
      channel.close();
      throw new UsageException(
          target.toString(),
          "a target that nobody else is writing",
          "another conversion at work on it",
          "wait for it, or choose another target");
    }
    return channel;
  }

  /** The file is removed while the lock is still held: whoever opens it later makes its own. */
  private static void release(@Nullable FileChannel lock, Path target) {
    try {
      if (lock != null) {
        Files.deleteIfExists(sibling(target, "lock"));
        lock.close();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void requireFree(Path target, boolean replace) {
    if (!Files.exists(target)) {
      return;
    }
    boolean isPackage = MoxiePackage.isPackage(target);
    if (!isPackage && !isEmptyFolder(target)) {
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

  private static boolean isEmptyFolder(Path path) {
    if (!Files.isDirectory(path)) {
      return false;
    }
    try (var entries = Files.list(path)) {
      return entries.findAny().isEmpty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Writes one shard, leaf by leaf, each byte once, digesting on the way.
   *
   * @throws UncheckedIOException if reading or writing fails
   */
  public void writeShard(ShardLayout layout, LeafSource source) {
    Path file = staging.resolve(layout.file());
    List<IndexRow> shardRows = new ArrayList<>();
    byte[] header = layout.header().encode();
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      writeFully(out, ByteBuffer.wrap(header));
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
            writeFully(out, chunk);
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
        IndexRow.PLAIN,
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
    Path file = staging.resolve(PackagePaths.require(path, path));
    var digests = new Digests();
    try {
      Files.createDirectories(file.getParent());
      try (FileChannel out =
          FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        byte[] buffer = new byte[BUFFER_BYTES];
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
          ByteBuffer chunk = ByteBuffer.wrap(buffer, 0, n);
          digests.update(chunk);
          writeFully(out, chunk);
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
      Path file = staging.resolve(PackagePaths.MANIFEST);
      try (FileChannel out =
          FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        writeFully(out, ByteBuffer.wrap(ManifestFile.encode(manifest)));
        out.force(true);
      }
      for (Path folder : folders(staging)) {
        syncFolder(folder);
      }
      moveIntoPlace();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The old package is set aside and put back if the new one cannot take its name. */
  private void moveIntoPlace() throws IOException {
    Path old = sibling(target, "old");
    requireFree(target, replace);
    if (Files.exists(target)) {
      deleteTree(old);
      Files.move(target, old, StandardCopyOption.ATOMIC_MOVE);
    }
    try {
      Files.move(staging, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      if (Files.exists(old)) {
        Files.move(old, target, StandardCopyOption.ATOMIC_MOVE);
      }
      throw e;
    }
    syncFolder(parent(target));
    deleteTree(old);
  }

  /** Removes what {@link #commit} did not give its name. */
  @Override
  public void close() {
    try {
      deleteTree(staging);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      release(lock, target);
    }
  }

  private static List<Path> folders(Path root) throws IOException {
    try (var walk = Files.walk(root)) {
      return walk.filter(Files::isDirectory).toList();
    }
  }

  private static void syncFolder(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException e) {
      if (System.getProperty("os.name", "").startsWith("Windows")) {
        return; // Windows has no handle to a folder; its renames are journalled.
      }
      throw e;
    }
  }

  private static void writeFully(FileChannel out, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      out.write(bytes);
    }
  }

  private static void deleteTree(Path root) throws IOException {
    if (!Files.exists(root)) {
      return;
    }
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException failure)
              throws IOException {
            if (failure != null) {
              throw failure;
            }
            Files.delete(folder);
            return FileVisitResult.CONTINUE;
          }
        });
  }
}
