package dev.moxie.cli;

import dev.moxie.format.error.UsageException;
import picocli.CommandLine.Option;

/** {@code --threads}, for every verb that writes weight files. */
final class Threads {
  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Weight files written at a time; default: processors.")
  private int count = Runtime.getRuntime().availableProcessors();

  /**
   * How many, from 1.
   *
   * @throws UsageException if the user asked for fewer
   */
  int count() {
    if (count < 1) {
      throw new UsageException(
          "--threads", "a number from 1", String.valueOf(count), "pass another");
    }
    return count;
  }
}
