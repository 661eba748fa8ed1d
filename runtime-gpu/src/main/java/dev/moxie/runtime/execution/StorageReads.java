package dev.moxie.runtime.execution;

import java.io.IOException;
import java.io.UncheckedIOException;
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
    try {
      return Files.isReadable(ACCOUNT) ? of(Files.readString(ACCOUNT)) : OptionalLong.empty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static OptionalLong of(String account) {
    Matcher line = READ.matcher(account);
    return line.find() ? OptionalLong.of(Long.parseLong(line.group(1))) : OptionalLong.empty();
  }
}
