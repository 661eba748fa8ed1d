package dev.moxie.runtime.execution;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalDouble;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Memory of this process that is resident, in MB.
 *
 * @param anonymous that no file backs
 * @param file pages of mapped files, weights among them
 */
public record Resident(double anonymous, double file) {
  private static final Path STATUS = Path.of("/proc/self/status");

  /** Memory now; null where the system does not say. */
  public static @Nullable Resident now() {
    try {
      return Files.exists(STATUS) ? of(Files.readString(STATUS)) : null;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static @Nullable Resident of(String status) {
    OptionalDouble anonymous = megabytes(status, "RssAnon");
    OptionalDouble file = megabytes(status, "RssFile");
    return anonymous.isPresent() && file.isPresent()
        ? new Resident(anonymous.getAsDouble(), file.getAsDouble())
        : null;
  }

  private static OptionalDouble megabytes(String status, String field) {
    Matcher line = Pattern.compile("(?m)^" + field + ":\\s+(\\d+) kB$").matcher(status);
    return line.find()
        ? OptionalDouble.of(Long.parseLong(line.group(1)) * 1024 / 1e6)
        : OptionalDouble.empty();
  }
}
