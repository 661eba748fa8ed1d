package dev.moxie.format.file;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What lies beside a target under a name of ours, {@code .NAME.moxie-*}, and may be somebody else's
 * all the same: a link to where nobody wants anything written, a pipe that nobody reads, a folder
 * of somebody's work. Nothing there is followed, waited for, written to or deleted unless it is
 * what an earlier run made; else it is refused, and stays as it is.
 */
public final class Beside {
  private Beside() {}

  /** The path beside a target for what belongs to its making. */
  public static Path path(Path target, String what) {
    return target.resolveSibling("." + target.getFileName() + ".moxie-" + what);
  }

  /**
   * Whether there is a file; its content is yet to be looked at.
   *
   * @throws UsageException if something else is there
   */
  static boolean isFile(Path path) throws IOException {
    return attributes(path) != null;
  }

  /** Of a file with one name; null if there is nothing. */
  private static @Nullable BasicFileAttributes attributes(Path path) throws IOException {
    BasicFileAttributes attributes = look(path);
    if (attributes != null && !attributes.isRegularFile()) {
      throw foreign(path, kind(attributes));
    }
    if (attributes != null && names(path) > 1) {
      throw foreign(path, "a file that has another name as well (a hard link)");
    }
    return attributes;
  }

  /**
   * Whether there is a folder; what it holds is yet to be looked at.
   *
   * @throws UsageException if something else is there
   */
  static boolean isFolder(Path path) throws IOException {
    BasicFileAttributes attributes = look(path);
    if (attributes != null && !attributes.isDirectory()) {
      throw foreign(path, kind(attributes));
    }
    return attributes != null;
  }

  private static @Nullable BasicFileAttributes look(Path path) throws IOException {
    try {
      return Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    } catch (NoSuchFileException e) {
      return null;
    }
  }

  private static int names(Path file) throws IOException {
    try {
      return (int) Files.getAttribute(file, "unix:nlink", LinkOption.NOFOLLOW_LINKS);
    } catch (UnsupportedOperationException | NoSuchFileException e) {
      return 1;
    }
  }

  private static String kind(BasicFileAttributes attributes) {
    return attributes.isSymbolicLink()
        ? "a link"
        : attributes.isDirectory()
            ? "a folder"
            : attributes.isRegularFile() ? "a file" : "a pipe, socket or device";
  }

  /** What is there was not made by an earlier run. */
  static UsageException foreign(Path path, String found) {
    return new UsageException(
        path.toString(),
        "nothing, or what an interrupted run left",
        found,
        "move it away, Moxie neither writes to nor removes what it did not make");
  }

  /**
   * Opens a file that an earlier run left, or makes it.
   *
   * @throws UsageException if it is of another kind; it has not been touched then
   */
  public static DiskFile open(Path path, Signature signature) throws IOException {
    BasicFileAttributes before = attributes(path);
    return before == null ? Disk.create(path) : open(path, before, signature);
  }

  private static DiskFile open(Path path, BasicFileAttributes before, Signature signature)
      throws IOException {
    // For reading as well: a pipe that is opened for both does not wait for its other end.
    return checked(
        path,
        FileChannel.open(
            path, StandardOpenOption.READ, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS),
        before,
        signature);
  }

  private static DiskFile checked(
      Path path, FileChannel channel, BasicFileAttributes before, Signature signature)
      throws IOException {
    var file = new DiskFile(path, channel, before.fileKey());
    try {
      // What was looked at may have been exchanged before it was opened.
      if (!isStill(file)) {
        throw new NoSuchFileException(path.toString());
      }
      if (!signature.agrees(file.start(signature.end()))) {
        throw foreign(path, "a file of something else");
      }
      return file;
    } catch (IOException | RuntimeException e) {
      file.close();
      throw e;
    }
  }

  /**
   * Makes sure that nothing is there but a file that an earlier run left.
   *
   * @throws UsageException if it is of another kind
   */
  static void require(Path path, Signature signature) throws IOException {
    BasicFileAttributes before = attributes(path);
    if (before != null) {
      openToRead(path, before, signature).close();
    }
  }

  /**
   * The content of a file that an earlier run left; nothing if there is none.
   *
   * @throws UsageException if it is of another kind, or has more bytes than files of its kind have
   */
  static byte[] read(Path path, Signature signature, int most) throws IOException {
    BasicFileAttributes before = attributes(path);
    if (before == null) {
      return new byte[0];
    }
    try (DiskFile file = openToRead(path, before, signature)) {
      if (file.size() > most) {
        throw foreign(path, "a file of " + file.size() + " bytes");
      }
      return file.start(most);
    }
  }

  private static DiskFile openToRead(Path path, BasicFileAttributes before, Signature signature)
      throws IOException {
    try {
      return open(path, before, signature);
    } catch (NoSuchFileException e) {
      throw e;
    } catch (FileSystemException e) {
      // Where nothing can be written, nobody puts a pipe in the place of what was looked at.
      return checked(
          path,
          FileChannel.open(path, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS),
          before,
          signature);
    }
  }

  /**
   * As {@link #open}, but for one writer at a time.
   *
   * @param target that the file is for
   * @throws UsageException if it is of another kind, or another writer has it
   * @throws EnvironmentException if it cannot be made
   */
  static DiskFile openAlone(Path path, Signature signature, Path target) throws IOException {
    DiskFile file;
    try {
      file = open(path, signature);
    } catch (NoSuchFileException | FileAlreadyExistsException e) {
      if (!Files.isDirectory(path.resolveSibling("."))) {
        throw e;
      }
      throw busy(target);
    } catch (FileSystemException e) {
      String reason = e.getReason();
      throw new EnvironmentException(
          String.valueOf(path.resolveSibling(".").normalize()),
          "a folder to write in",
          reason == null ? "one without permission" : "\"" + reason + "\"",
          "choose another target, or see to its permissions");
    }
    try {
      requireAlone(file, target);
      return file;
    } catch (IOException | RuntimeException e) {
      file.close();
      throw e;
    }
  }

  /**
   * Takes the lock. Whoever had it may have finished meanwhile: what was opened is then a finished
   * file, or none, and must not be written to.
   */
  static void requireAlone(DiskFile file, Path target) throws IOException {
    if (!file.lock() || !isStill(file)) {
      throw busy(target);
    }
  }

  /** Whether the path leads to the file that was opened there. */
  private static boolean isStill(DiskFile file) throws IOException {
    BasicFileAttributes now = attributes(file.path());
    return now != null && Objects.equals(now.fileKey(), file.key());
  }

  /** By what a file is known whatever its name; null where the system has nothing such. */
  static @Nullable Object key(Path file) throws IOException {
    BasicFileAttributes attributes = look(file);
    return attributes == null ? null : attributes.fileKey();
  }

  private static UsageException busy(Path target) {
    return new UsageException(
        target.toString(),
        "a target that nobody else is writing",
        "another command at work on it",
        "wait for it, or choose another target");
  }
}
