package dev.moxie.verifier.baseline;

import dev.moxie.format.pack.Digests;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Matrices in few numbers. */
final class Summaries {
  private Summaries() {}

  /**
   * Summarises a matrix.
   *
   * @param values row-major, at least one row
   */
  static Baseline.Summary of(float[] values, int columns) {
    double sum = 0;
    double squares = 0;
    int peak = 0;
    for (int i = 0; i < values.length; i++) {
      sum += values[i];
      squares += (double) values[i] * values[i];
      // What is no number is the peak, and so cannot hide.
      if (!(Math.abs(values[i]) <= Math.abs(values[peak])) && !Float.isNaN(values[peak])) {
        peak = i;
      }
    }
    List<List<HexDouble>> projections = new ArrayList<>();
    for (int row = 0; row < values.length / columns; row++) {
      List<HexDouble> ofRow = new ArrayList<>();
      for (int p = 0; p < Signs.PROJECTIONS; p++) {
        ofRow.add(new HexDouble(Signs.project(values, columns, row, p)));
      }
      projections.add(ofRow);
    }
    return new Baseline.Summary(
        sha256(values, columns),
        new HexDouble(sum / values.length),
        new HexDouble(Math.sqrt(squares / values.length)),
        new Baseline.Peak(peak / columns, peak % columns, new HexDouble(values[peak])),
        projections);
  }

  /** Summarises logits, [T, V]. */
  static Baseline.Logits logits(float[] values, int columns) {
    List<List<Baseline.Logit>> largest = new ArrayList<>();
    for (int row = 0; row < values.length / columns; row++) {
      int first = row * columns;
      largest.add(
          Arrays.stream(largest(values, first, columns))
              .mapToObj(id -> new Baseline.Logit(id, new HexDouble(values[first + id])))
              .toList());
    }
    return new Baseline.Logits(of(values, columns), largest);
  }

  /** Ids of a row's largest, largest first; of equal ones the first, and NaN last. */
  private static int[] largest(float[] values, int first, int columns) {
    int[] ids = new int[Math.min(Baseline.Logits.LARGEST, columns)];
    for (int id = 0; id < columns; id++) {
      int place = Math.min(id, ids.length);
      while (place > 0 && Float.compare(-values[first + id], -values[first + ids[place - 1]]) < 0) {
        place--;
      }
      if (place < ids.length) {
        System.arraycopy(ids, place, ids, place + 1, ids.length - place - 1);
        ids[place] = id;
      }
    }
    return ids;
  }

  private static String sha256(float[] values, int columns) {
    var digests = new Digests();
    ByteBuffer row = ByteBuffer.allocate(columns * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < values.length; i++) {
      row.putFloat(values[i]);
      if (!row.hasRemaining()) {
        digests.update(row.flip());
        row.clear();
      }
    }
    return digests.finish().sha256();
  }
}
