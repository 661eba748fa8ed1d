package dev.moxie.runtime.plain;

import java.util.stream.IntStream;

/** Loops whose turns know nothing of each other, on all processors where that pays. */
final class Work {
  /** Multiplications below which waking another thread takes longer than they do. */
  private static final long WORTH_A_THREAD = 1 << 17;

  private static final int PARTS = 4 * Runtime.getRuntime().availableProcessors();

  private Work() {}

  /** Does the turns from one number to below another. */
  @FunctionalInterface
  interface Turns {
    void run(int from, int to);
  }

  /**
   * Does every turn once. Whoever does it computes the same: a sum belongs to one turn.
   *
   * @param each multiplications of a turn
   */
  static void each(int turns, long each, Turns work) {
    int parts = Math.clamp(turns * each / WORTH_A_THREAD, 1, Math.min(turns, PARTS));
    if (parts == 1) {
      work.run(0, turns);
      return;
    }
    IntStream.range(0, parts)
        .parallel()
        .forEach(p -> work.run(part(turns, p, parts), part(turns, p + 1, parts)));
  }

  private static int part(int turns, int part, int parts) {
    return Math.toIntExact((long) turns * part / parts);
  }
}
