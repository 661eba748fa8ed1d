package dev.moxie.cli;

import dev.moxie.verifier.eval.EvalRun;
import java.time.Duration;
import java.util.Locale;

/** How far through its tokens an evaluation is: one line on a terminal, some lines otherwise. */
final class TokenProgress implements AutoCloseable {
  private static final long REDRAW_NANOS = Duration.ofMillis(100).toNanos();
  private static final long LINE_NANOS = Duration.ofSeconds(10).toNanos();

  private final boolean quiet;
  private final boolean terminal = ConsoleProgress.isTerminal();
  private long total;
  private long done;
  private long start;
  private long shown;

  TokenProgress(boolean quiet) {
    this.quiet = quiet;
  }

  /** There are so many tokens. */
  EvalRun.Progress begin(long tokens) {
    total = tokens;
    start = System.nanoTime();
    shown = start;
    return this::advance;
  }

  private void advance(long tokens) {
    done += tokens;
    long now = System.nanoTime();
    if (!quiet && now - shown > (terminal ? REDRAW_NANOS : LINE_NANOS)) {
      shown = now;
      String line = line((now - start) / 1e9);
      if (terminal) {
        System.err.print("\r" + line);
      } else {
        System.err.println(line);
      }
    }
  }

  private String line(double seconds) {
    double rate = done / seconds;
    return String.format(
        Locale.ROOT,
        "%,d of %,d tokens, %.1f tokens/s, %.0f s left ",
        done,
        total,
        rate,
        (total - done) / rate);
  }

  @Override
  public void close() {
    if (!quiet && terminal) {
      System.err.print("\r" + " ".repeat(70) + "\r");
    }
  }
}
