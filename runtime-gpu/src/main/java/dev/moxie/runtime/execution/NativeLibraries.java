package dev.moxie.runtime.execution;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.file.Disk;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/** Libraries of machine code, which their Java sides unpack into a folder before they load them. */
public final class NativeLibraries {
  /** Those of the CPU builds together take less. */
  private static final long ROOM = 64L << 20;

  private NativeLibraries() {}

  /** Loads a library out of a folder that is there for that alone. */
  @FunctionalInterface
  public interface Loader<T> {
    /** Unpacks into the folder, which is then deleted, and loads. */
    T load(Path folder) throws IOException;
  }

  /**
   * Starts a library, leaving nothing behind where it was unpacked.
   *
   * @param name for messages
   * @throws EnvironmentException if it cannot be unpacked or loaded, naming the folder
   */
  public static <T> T start(String name, Loader<T> loader) {
    Path parent = Path.of(System.getProperty("java.io.tmpdir"));
    return load(
        name, parent, ROOM, () -> Disk.createTemporaryFolder(parent, "moxie-libraries-"), loader);
  }

  /**
   * Loads what a library that was started looks for beside itself.
   *
   * @param folder where that was unpacked, which is made once more
   * @param room bytes that it takes at most
   * @throws EnvironmentException if it cannot be unpacked or loaded, naming the folder
   */
  static <T> T more(String name, Path folder, long room, Loader<T> loader) {
    Path parent = folder.resolveSibling("");
    return load(
        name,
        parent,
        room,
        () -> {
          Disk.createFolder(folder);
          return folder;
        },
        loader);
  }

  /** Makes a folder that was not there. */
  @FunctionalInterface
  private interface Maker {
    Path make() throws IOException;
  }

  private static <T> T load(String name, Path parent, long room, Maker maker, Loader<T> loader) {
    try {
      Path folder = maker.make();
      try {
        return loader.load(folder);
      } finally {
        remove(folder);
      }
    } catch (EnvironmentException e) {
      throw e;
    } catch (IOException | LinkageError | RuntimeException e) {
      // What the libraries throw names neither folder nor reason, hence the folder is asked.
      Optional<String> lack = lack(parent, room);
      throw new EnvironmentException(
          parent.toString(),
          lack.isPresent()
              ? "a folder to unpack " + name + " in"
              : name + " to load after it is unpacked there",
          lack.orElse("that this system refuses it"),
          (lack.isPresent()
                  ? ""
                  : "use a system that "
                      + name
                      + " is built for, or a folder that may hold programs: ")
              + "choose another folder, as in MOXIE_JAVA_OPTS=-Djava.io.tmpdir=/var/tmp");
    }
  }

  private static void remove(Path folder) {
    try {
      Disk.deleteTree(folder);
    } catch (IOException e) {
      // Windows keeps what is loaded.
      return;
    }
  }

  /** Why nothing can be unpacked there. */
  private static Optional<String> lack(Path folder, long room) {
    try {
      Disk.delete(Disk.createTemporaryFolder(folder, "moxie-probe-"));
      long free = Files.getFileStore(folder).getUsableSpace();
      return free < room
          ? Optional.of("%,d free bytes where up to %,d are needed".formatted(free, room))
          : Optional.empty();
    } catch (NoSuchFileException e) {
      return Optional.of("no such folder");
    } catch (FileSystemException e) {
      return Optional.of(
          e.getReason() == null ? "one that may not be written to" : "\"" + e.getReason() + "\"");
    } catch (IOException e) {
      return Optional.of("\"" + e.getMessage() + "\"");
    }
  }
}
