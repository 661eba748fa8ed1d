package dev.moxie.verifier.report.html;

/**
 * Many items side by side, in no more columns than a chart has room for: each column stands for as
 * many neighbours as it takes.
 *
 * @param items how many there are
 * @param span how many each column stands for, the last perhaps for fewer
 */
record Columns(int items, int span) {
  /** At most so many columns. */
  static Columns of(int items, int most) {
    return new Columns(items, Math.max(1, Math.ceilDiv(items, most)));
  }

  int count() {
    return Math.ceilDiv(items, span);
  }

  int from(int column) {
    return column * span;
  }

  int to(int column) {
    return Math.min(items, (column + 1) * span);
  }

  /**
   * Steps of 1, 2 or 5 times a power of ten, so that no more than so many of them fit; for more
   * than a hundred million items perhaps all of them.
   */
  static int step(int items, int most) {
    for (int power = 1; power <= 100_000_000; power *= 10) {
      for (int step : new int[] {power, 2 * power, 5 * power}) {
        if ((long) step * most >= items) {
          return step;
        }
      }
    }
    return items;
  }
}
