package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** Entries that stand for several tokens, and attention to them; {@link Exact} says what for. */
record EntryArithmetic(Arithmetic arithmetic) {
  /** In the row of the last token of each; zeros in all others. */
  Estimate compress(Attention.Compression n, Estimate c, Estimate z, WeightMatrix places) {
    int tokens = n.tokens();
    int size = n.overlapping() ? c.columns() / 2 : c.columns();
    int span = n.overlapping() ? 2 * tokens : tokens;
    double[][] place = new double[tokens][places.columns()];
    for (int i = 0; i < tokens; i++) {
      places.read(i, place[i]);
    }
    double a = arithmetic.a();
    var result = new Estimate(c.rows(), size);
    for (int last = tokens - 1; last < c.rows(); last += tokens) {
      int first = Math.max(0, last + 1 - span);
      int count = last + 1 - first;
      for (int d = 0; d < size; d++) {
        double[] score = new double[count];
        double[] error = new double[count];
        double most = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < count; i++) {
          int t = first + i;
          int column = n.overlapping() && t > last - tokens ? size + d : d;
          double shift = place[t % tokens][column];
          score[i] = z.value(t, column) + shift;
          double rounded = places.roundingOf(t % tokens, column, shift);
          error[i] = norm2(z.error(t, column), rounded, arithmetic.u() * score[i]);
          most = Math.max(most, score[i]);
        }
        double total = 0;
        double[] share = new double[count];
        for (int i = 0; i < count; i++) {
          share[i] = Math.exp(score[i] - most);
          total += share[i];
        }
        double y = 0;
        double squares = 0;
        double carried = 0;
        for (int i = 0; i < count; i++) {
          share[i] /= total;
          int t = first + i;
          int column = n.overlapping() && t > last - tokens ? size + d : d;
          double term = share[i] * c.value(t, column);
          y += term;
          squares += term * term;
          double off = share[i] * c.error(t, column);
          carried += off * off;
        }
        for (int i = 0; i < count; i++) {
          int t = first + i;
          int column = n.overlapping() && t > last - tokens ? size + d : d;
          double moved = share[i] * (c.value(t, column) - y);
          double off = norm2(error[i], a * (most - score[i]), Arithmetic.FUNCTION_ROUNDINGS * a);
          carried += moved * off * moved * off;
        }
        result.set(last, d, y, arithmetic.errorOfSum(count, y, squares, carried));
      }
    }
    return arithmetic.settle(result);
  }

  /** The rows of tokens that are the last of a window. */
  static Estimate closing(Estimate rows, int tokens) {
    var result = new Estimate(rows.rows() / tokens, rows.columns());
    for (int j = 0; j < result.rows(); j++) {
      result.copyRow(rows, (j + 1) * tokens - 1, j);
    }
    return result;
  }

  /** Entries stand after the tokens. */
  Estimate attend(
      Attention.Compressed a,
      Estimate q,
      Estimate v,
      @Nullable Estimate entries,
      @Nullable Seen seen,
      WeightMatrix sinks) {
    int tokens = v.rows();
    Attention.Compression n = a.compression();
    Estimate some =
        n == null || entries == null ? new Estimate(0, v.columns()) : closing(entries, n.tokens());
    var both = new Estimate(tokens + some.rows(), v.columns());
    for (int t = 0; t < tokens; t++) {
      both.copyRow(v, t, t);
    }
    for (int j = 0; j < some.rows(); j++) {
      both.copyRow(some, j, tokens + j);
    }
    Seen all =
        new Seen() {
          @Override
          public int[] of(int t) {
            int[] further =
                seen != null
                    ? seen.of(t)
                    : IntStream.range(0, n == null ? 0 : (t + 1) / n.tokens()).toArray();
            return IntStream.concat(
                    IntStream.rangeClosed((int) a.firstSeen(t), t),
                    Arrays.stream(further).map(j -> tokens + j))
                .toArray();
          }

          @Override
          public int[] undecided(int t) {
            return seen == null
                ? new int[0]
                : Arrays.stream(seen.undecided(t)).map(j -> tokens + j).toArray();
          }
        };
    return new AttentionArithmetic(arithmetic).attend(a, all, q, both, both, 1, sinks);
  }
}
