package dev.moxie.format.file;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Every change that Moxie makes on a disk: whatever creates, writes, syncs, renames or deletes goes
 * through here and through {@link DiskFile}, a step a call. So a test can stand at each step, and
 * let it fail or let the process end there.
 */
public final class Disk {
  /** Inherited, since what one thread starts is often written by others. */
  private static final InheritableThreadLocal<@Nullable Watcher> WATCHER =
      new InheritableThreadLocal<>();

  private Disk() {}

  /** Is told of each step before it is made; what it throws keeps the step from being made. */
  @FunctionalInterface
  public interface Watcher {
    void before(String step, Path path) throws IOException;
  }

  /** Does something, watched in this thread and in those that it starts. */
  public static void watched(Watcher watcher, Runnable work) {
    WATCHER.set(watcher);
    try {
      work.run();
    } finally {
      WATCHER.remove();
    }
  }

  static void step(String step, Path path) throws IOException {
    Watcher watcher = WATCHER.get();
    if (watcher != null) {
      watcher.before(step, path);
    }
  }

  /** Makes a file, which must not exist, not even as a link. */
  public static DiskFile create(Path file, OpenOption... more) throws IOException {
    step("create", file);
    Set<OpenOption> options =
        new HashSet<>(
            Set.of(
                StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, StandardOpenOption.READ));
    options.addAll(List.of(more));
    FileChannel channel = FileChannel.open(file, options);
    try {
      return new DiskFile(file, channel, Beside.key(file));
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  /** Makes a folder, which must not exist. */
  public static void createFolder(Path folder) throws IOException {
    step("create", folder);
    Files.createDirectory(folder);
  }

  /**
   * Makes a folder and those above it, as far as they are not there.
   *
   * @throws FileSystemException if something that is no folder is in the way
   */
  public static void createFolders(Path folder) throws IOException {
    if (Files.isDirectory(folder)) {
      return;
    }
    Path existing = folder.toAbsolutePath();
    while (existing.getParent() != null && !Files.exists(existing, LinkOption.NOFOLLOW_LINKS)) {
      existing = existing.getParent();
    }
    if (!Files.isDirectory(existing)) {
      throw new FileSystemException(
          existing.toString(),
          null,
          Files.isSymbolicLink(existing)
              ? "a link that leads to no folder is in the way"
              : "a file is in the way of a folder");
    }
    step("create", folder);
    Files.createDirectories(folder);
  }

  /** Makes a folder of a name that nothing has. */
  public static Path createTemporaryFolder(Path parent, String prefix) throws IOException {
    step("create", parent.resolve(prefix));
    return Files.createTempDirectory(parent, prefix);
  }

  /** Renames; what had the new name before is gone in the same moment. */
  static void move(Path from, Path to) throws IOException {
    step("rename", from);
    Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
  }

  /** Deletes a file, a link or an empty folder, if it is there. */
  public static void delete(Path path) throws IOException {
    step("delete", path);
    Files.deleteIfExists(path);
  }

  /** Deletes a file, or a folder with all that is in it, if it is there; follows no links. */
  public static void deleteTree(Path root) throws IOException {
    if (!Files.exists(root, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException failure)
              throws IOException {
            if (failure != null) {
              throw failure;
            }
            delete(folder);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  /** Makes sure that what was created, renamed and deleted in a folder stays so. */
  static void sync(Path folder) throws IOException {
    step("sync", folder);
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException e) {
      if (System.getProperty("os.name", "").startsWith("Windows")) {
        return; // Windows has no handle to a folder; its renames are journalled.
      }
      throw e;
    }
  }
}
