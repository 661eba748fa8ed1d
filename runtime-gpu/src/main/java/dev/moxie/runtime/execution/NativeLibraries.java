package dev.moxie.runtime.execution;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.file.Disk;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;

/** Libraries of machine code, which their Java sides unpack into a folder before they load them. */
public final class NativeLibraries {
  /** Those of the CPU builds together take less. */
  private static final long ROOM = 64L << 20;

  /** It prints a stack trace where unpacking fails; held, since loggers are forgotten otherwise. */
  private static final Logger ONNX_RUNTIME = Logger.getLogger("ai.onnxruntime");

  private NativeLibraries() {}

  /**
   * Starts a library that unpacks into the temporary folder.
   *
   * @param name for messages
   * @throws EnvironmentException if it cannot be unpacked or loaded, naming the folder
   */
  static <T> T start(String name, Supplier<T> start) {
    ONNX_RUNTIME.setLevel(Level.OFF);
    return load(
        name,
        Path.of(System.getProperty("java.io.tmpdir")),
        "choose another folder, as in MOXIE_JAVA_OPTS=-Djava.io.tmpdir=/var/tmp",
        start);
  }

  /**
   * Loads a library.
   *
   * @param folder where it is unpacked
   * @param remedy that leads to another folder
   * @throws EnvironmentException if it cannot be unpacked or loaded, naming the folder
   */
  public static <T> T load(String name, Path folder, String remedy, Supplier<T> load) {
    try {
      return load.get();
    } catch (EnvironmentException e) {
      throw e;
    } catch (LinkageError | RuntimeException e) {
      // What the libraries throw names neither folder nor reason, hence the folder is asked.
      Optional<String> lack = lack(folder);
      throw new EnvironmentException(
          folder.toString(),
          lack.isPresent()
              ? "a folder to unpack " + name + " in"
              : name + " to load after it is unpacked there",
          lack.orElse("that this system refuses it"),
          lack.isPresent()
              ? remedy
              : "use a system that "
                  + name
                  + " is built for, or a folder that may hold programs: "
                  + remedy);
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
