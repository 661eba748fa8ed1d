package dev.moxie.runtime.execution;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What this process had read from storage: what was in memory before does not count. */
public final class StorageReads {
  private static final Path ACCOUNT = Path.of("/proc/self/io");
  private static final Pattern READ = Pattern.compile("(?m)^read_bytes: (\\d+)$");

  private StorageReads() {}

  /** Bytes until now; empty where the system does not say. */
  public static OptionalLong bytes() {
    return in(ACCOUNT);
  }

  /** No run fails for an account that cannot be read, even if it could be before. */
  static OptionalLong in(Path account) {
    try {
      return of(Files.readString(account));
    } catch (IOException e) {
      return OptionalLong.empty();
    }
  }

  static OptionalLong of(String account) {
    Matcher line = READ.matcher(account);
    return line.find() ? OptionalLong.of(Long.parseLong(line.group(1))) : OptionalLong.empty();
  }
}
