package dev.moxie.format.file;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.UncheckedIOException;
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
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A folder that appears under its name only when it is complete: everything goes to a sibling
 * folder, is synced, and takes the target's name in one rename. What it replaces is set aside just
 * before and deleted after. {@link #close} without {@link #commit} or {@link #keep} leaves nothing
 * behind.
 */
public final class StagedFolder implements AutoCloseable {
  private final Path target;
  private final Path staging;
  private final Consumer<Path> requireFree;
  private final FileChannel lock;
  private boolean kept;

  private StagedFolder(Path target, Path staging, Consumer<Path> requireFree, FileChannel lock) {
    this.target = target;
    this.staging = staging;
    this.requireFree = requireFree;
    this.lock = lock;
  }

  /**
   * Starts a folder. Only one writer at a time may have a target; what an interrupted one had moved
   * aside is put back, what it left unfinished is still there.
   *
   * @param requireFree given the resolved target, throws if it must not be written or replaced;
   *     called before anything is written, under the lock, and before the rename
   * @throws UsageException if another writer has the target, it is a link that leads nowhere, or it
   *     is where another file system begins
   */
  public static StagedFolder open(Path target, Consumer<Path> requireFree) {
    Path absolute = resolve(target);
    requireFree.accept(absolute);
    @Nullable FileChannel lock = null;
    try {
      Files.createDirectories(parent(absolute));
      requireRenamable(absolute);
      lock = lock(absolute);
      Path old = sibling(absolute, "old");
      if (Files.exists(old) && !Files.exists(absolute)) {
        Files.move(old, absolute, StandardCopyOption.ATOMIC_MOVE);
      }
      requireFree.accept(absolute);
      Path staging = sibling(absolute, "partial");
      Files.createDirectories(staging);
      return new StagedFolder(absolute, staging, requireFree, lock);
    } catch (IOException e) {
      release(lock, absolute);
      throw new UncheckedIOException(e);
    } catch (RuntimeException e) {
      release(lock, absolute);
      throw e;
    }
  }

  /** As {@link #open}, but what an interrupted writer left is removed. */
  public static StagedFolder create(Path target, Consumer<Path> requireFree) {
    StagedFolder folder = open(target, requireFree);
    try {
      folder.retain(Set.of());
      return folder;
    } catch (RuntimeException e) {
      release(folder.lock, folder.target);
      throw e;
    }
  }

  /** Where files are to be written until {@link #commit}. */
  public Path path() {
    return staging;
  }

  /** Removes all files from the unfinished folder but those of these names, and all folders. */
  public void retain(Set<String> names) {
    try (var entries = Files.list(staging)) {
      for (Path entry : entries.toList()) {
        if (!names.contains(entry.getFileName().toString())) {
          deleteTree(entry);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Leaves what was written for a later writer to go on with. */
  public void keep() {
    kept = true;
  }

  /** A name beside the target, for what belongs to its making. */
  public static Path sibling(Path target, String what) {
    Path absolute = resolve(target);
    return absolute.resolveSibling("." + absolute.getFileName() + ".moxie-" + what);
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

  private static Path parent(Path target) {
    return target.resolveSibling(".").normalize();
  }

  /** A mount point cannot take another folder's place, which would show only at the very end. */
  private static void requireRenamable(Path target) throws IOException {
    if (Files.exists(target)
        && !Files.getFileStore(target).equals(Files.getFileStore(parent(target)))) {
      throw new UsageException(
          target.toString(),
          "a folder on the file system of the one it lies in",
          "the place where another is mounted",
          "choose a new folder inside it");
    }
  }

  private static FileChannel lock(Path target) throws IOException {
    FileChannel channel = openLock(target);
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
          "another command at work on it",
          "wait for it, or choose another target");
    }
    return channel;
  }

  private static FileChannel openLock(Path target) throws IOException {
    try {
      return FileChannel.open(
          sibling(target, "lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    } catch (FileSystemException e) {
      String reason = e.getReason();
      throw new EnvironmentException(
          parent(target).toString(),
          "a folder to write in",
          reason == null ? "one without permission" : "\"" + reason + "\"",
          "choose another target, or see to its permissions");
    }
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

  /** Whether the path is a folder without entries. */
  public static boolean isEmptyFolder(Path path) {
    if (!Files.isDirectory(path)) {
      return false;
    }
    try (var entries = Files.list(path)) {
      return entries.findAny().isEmpty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Syncs the folders and gives the whole its name; the files in them must be synced already. */
  public void commit() {
    try {
      for (Path folder : folders(staging)) {
        syncFolder(folder);
      }
      moveIntoPlace();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The old folder is set aside and put back if the new one cannot take its name. */
  private void moveIntoPlace() throws IOException {
    Path old = sibling(target, "old");
    requireFree.accept(target);
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

  /** Removes what {@link #commit} did not give its name, unless it is to be kept. */
  @Override
  public void close() {
    try {
      if (!kept) {
        deleteTree(staging);
      }
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
