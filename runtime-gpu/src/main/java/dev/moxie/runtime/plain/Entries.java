package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import java.util.Arrays;

/**
 * Entries of windows ({@link Attention.Compression}), each in the row of the last token of its
 * window. What tokens have for them is a state of their sequence, by position.
 *
 * @param places by position in a window
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record Entries(
    Pass pass,
    int state,
    Attention.Compression compression,
    float[][] places,
    Value c,
    Value z,
    Value y)
    implements Instruction {

  @Override
  public void run() {
    int width = c.columns();
    int span = compression.span();
    for (int start = 0, end; start < pass.tokens(); start = end) {
      end = pass.endOfRun(start);
      Past.State kept = pass.past(start).state(state, 2 * span * width);
      float[] rows = kept.now().clone();
      for (int t = start; t < end; t++) {
        int position = pass.position(t);
        int slot = position % span * 2 * width;
        System.arraycopy(pass.array(c), t * c.apart(), rows, slot, width);
        float[] place = places[position % compression.tokens()];
        for (int i = 0; i < width; i++) {
          rows[slot + width + i] = pass.array(z)[t * z.apart() + i] + place[i];
        }
        entry(rows, position, pass.array(y), t * y.apart());
        if (kept.isGuessed() && t == end - 2) {
          System.arraycopy(rows, 0, kept.beforeGuess(), 0, rows.length);
        }
      }
      System.arraycopy(rows, 0, kept.next(), 0, rows.length);
      kept.advance();
    }
  }

  private void entry(float[] rows, int position, float[] out, int to) {
    int width = c.columns();
    int size = y.columns();
    int tokens = compression.tokens();
    if ((position + 1) % tokens != 0) {
      Arrays.fill(out, to, to + size, 0);
      return;
    }
    int first = Math.max(0, position + 1 - compression.span());
    for (int d = 0; d < size; d++) {
      double most = Double.NEGATIVE_INFINITY;
      for (int p = first; p <= position; p++) {
        most = Math.max(most, rows[at(p, position, d, width) + width]);
      }
      double total = 0;
      double sum = 0;
      for (int p = first; p <= position; p++) {
        int at = at(p, position, d, width);
        double share = StrictMath.exp(rows[at + width] - most);
        total += share;
        sum += share * rows[at];
      }
      out[to + d] = (float) (sum / total);
    }
  }

  private int at(int p, int last, int d, int width) {
    boolean own = compression.overlapping() && p > last - compression.tokens();
    return p % compression.span() * 2 * width + (own ? width / 2 : 0) + d;
  }
}
