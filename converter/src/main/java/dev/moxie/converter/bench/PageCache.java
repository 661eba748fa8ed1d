package dev.moxie.converter.bench;

import dev.moxie.format.error.EnvironmentException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/** The operating system's memory of files. */
final class PageCache {
  private static final int READ_ONLY = 0;
  private static final int DONT_NEED = 4;

  private PageCache() {}

  /**
   * Lets a file's pages go, so that the next reading comes from the disk; pages not yet written
   * stay (POSIX {@code posix_fadvise} with {@code POSIX_FADV_DONTNEED}, as Linux numbers it).
   *
   * @throws EnvironmentException if the system has no such call
   */
  static void drop(Path file) {
    try (Arena arena = Arena.ofConfined()) {
      MethodHandle open =
          function("open", ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT);
      MethodHandle advise =
          function(
              "posix_fadvise",
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT);
      MethodHandle close = function("close", ValueLayout.JAVA_INT, ValueLayout.JAVA_INT);
      int descriptor = (int) open.invokeExact(arena.allocateFrom(file.toString()), READ_ONLY);
      int result = (int) advise.invokeExact(descriptor, 0L, 0L, DONT_NEED);
      int closed = (int) close.invokeExact(descriptor);
      if (descriptor < 0 || result != 0 || closed != 0) {
        throw unavailable(file, "error " + result);
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw unavailable(file, String.valueOf(e));
    }
  }

  @SuppressWarnings("restricted") // Three functions of POSIX.
  private static MethodHandle function(String name, ValueLayout result, ValueLayout... parameters) {
    Linker linker = Linker.nativeLinker();
    return linker
        .defaultLookup()
        .find(name)
        .map(address -> linker.downcallHandle(address, FunctionDescriptor.of(result, parameters)))
        .orElseThrow(() -> unavailable(Path.of(name), "no such function"));
  }

  private static EnvironmentException unavailable(Path file, String found) {
    return new EnvironmentException(
        file.toString(),
        "a system that lets a file's pages go on request",
        found,
        "measure without --cold");
  }
}
