package dev.moxie.runtime.execution;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.file.Disk;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.logging.Level;
import java.util.logging.Logger;

/** Libraries of machine code, which their Java sides unpack into a folder before they load them. */
public final class NativeLibraries {
  /** Those of the CPU builds together take less. */
  private static final long ROOM = 64L << 20;

  /** It prints a stack trace where unpacking fails; held, since loggers are forgotten otherwise. */
  private static final Logger ONNX_RUNTIME = Logger.getLogger("ai.onnxruntime");

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
    ONNX_RUNTIME.setLevel(Level.OFF);
    Path parent = Path.of(System.getProperty("java.io.tmpdir"));
    try {
      Path folder = Disk.createTemporaryFolder(parent, "moxie-libraries-");
      try {
        return loader.load(folder);
      } finally {
        remove(folder);
      }
    } catch (EnvironmentException e) {
      throw e;
    } catch (IOException | LinkageError | RuntimeException e) {
      // What the libraries throw names neither folder nor reason, hence the folder is asked.
      Optional<String> lack = lack(parent);
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
  private static Optional<String> lack(Path folder) {
    try {
      Disk.delete(Disk.createTemporaryFolder(folder, "moxie-probe-"));
      long free = Files.getFileStore(folder).getUsableSpace();
      return free < ROOM
          ? Optional.of("%,d free bytes where up to %,d are needed".formatted(free, ROOM))
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
