package dev.moxie.cli;

import dev.moxie.converter.plan.Progress;
import dev.moxie.format.text.Line;
import java.io.Console;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/** A bar with rate and remaining time on a terminal, a line per file otherwise. */
final class ConsoleProgress implements Progress, AutoCloseable {
  private static final int WIDTH = 30;
  private static final long REDRAW_NANOS = Duration.ofMillis(100).toNanos();

  private final long total;
  private final boolean quiet;
  private final boolean terminal = isTerminal();
  private final long start = System.nanoTime();
  private final AtomicLong done = new AtomicLong();
  private final AtomicLong lastDrawn = new AtomicLong(start);

  ConsoleProgress(long total, boolean quiet) {
    this.total = total;
    this.quiet = quiet;
  }

  /** Whether people watch, and a line may be drawn over. */
  static boolean isTerminal() {
    return Optional.ofNullable(System.console()).map(Console::isTerminal).orElse(false);
  }

  @Override
  public void advance(long bytes) {
    long now = done.addAndGet(bytes);
    long drawn = lastDrawn.get();
    long time = System.nanoTime();
    if (!quiet && terminal && time - drawn > REDRAW_NANOS && lastDrawn.compareAndSet(drawn, time)) {
      System.err.print("\r" + bar(now, (time - start) / 1e9));
    }
  }

  private String bar(long bytes, double seconds) {
    double fraction = total == 0 ? 1 : Math.min(1, (double) bytes / total);
    int filled = (int) (WIDTH * fraction);
    double rate = bytes / Math.max(seconds, 1e-3);
    return String.format(
        Locale.ROOT,
        "[%s%s] %3.0f %%  %6.2f GB/s  %5.0f s left ",
        "█".repeat(filled),
        "·".repeat(WIDTH - filled),
        100 * fraction,
        rate / 1e9,
        (total - bytes) / Math.max(rate, 1));
  }

  @Override
  public void finished(String line) {
    if (!quiet && !terminal) {
      System.err.println(Line.of(line));
    }
  }

  @Override
  public void close() {
    if (!quiet && terminal) {
      System.err.print("\r" + " ".repeat(WIDTH + 40) + "\r");
    }
  }
}
