package dev.moxie.cli;

import dev.moxie.format.text.Line;
import dev.moxie.verifier.reference.Progress;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * A line for each layer, with how long it took and how long the others may: none if all is quick.
 */
final class LayerProgress implements Progress {
  /** What people wait for without asking. */
  private static final long PATIENCE = Duration.ofSeconds(3).toNanos();

  private final PrintStream out;
  private final LongSupplier nanos;
  private long start;
  private long last;
  private int parts;
  private int done;

  /**
   * A printer.
   *
   * @param nanos the time, in nanoseconds since any
   */
  LayerProgress(PrintStream out, LongSupplier nanos) {
    this.out = out;
    this.nanos = nanos;
  }

  @Override
  public void begin(int count) {
    start = nanos.getAsLong();
    last = start;
    parts = count;
    done = 0;
  }

  @Override
  public void done(String part) {
    long now = nanos.getAsLong();
    double seconds = (now - last) / 1e9;
    double left = (now - start) / 1e9 / ++done * (parts - done);
    last = now;
    if (now - start >= PATIENCE) {
      out.println(
          Line.of(
              String.format(Locale.ROOT, "%s: %.1f s, about %.0f s left", part, seconds, left)));
    }
  }
}
