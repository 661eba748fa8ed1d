package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Rotary;
import org.jspecify.annotations.Nullable;

/** Self-attention as {@link Attention} states it, output projection included. */
final class HandWrittenAttention {
  private final WeightsByName weights;
  private final Arithmetic arithmetic;

  HandWrittenAttention(WeightsByName weights, Arithmetic arithmetic) {
    this.weights = weights;
    this.arithmetic = arithmetic;
  }

  /** From normed hidden states [T, H] to what is added to the residual stream, [T, H]. */
  Estimate attention(String layer, Attention.Softmax attention, Estimate x) {
    String stem = layer + "attention.";
    Estimate joined =
        switch (attention) {
          case Attention.GroupedQuery a -> groupedQuery(stem, a, x);
          case Attention.MultiHeadLatent a -> latent(stem, a, x);
          case Attention.Compressed a -> throw new IllegalArgumentException("no entries by hand");
        };
    return linear(joined, stem + "output.weight");
  }

  private Estimate linear(Estimate x, String weight) {
    return arithmetic.linear(x, weights.tensor(weight));
  }

  private Estimate groupedQuery(String stem, Attention.GroupedQuery a, Estimate x) {
    int d = a.headSize();
    Estimate query = rotate(a.rotary(), linear(x, stem + "query.weight"), 0, d);
    Estimate key = rotate(a.rotary(), linear(x, stem + "key.weight"), 0, d);
    Estimate value = linear(x, stem + "value.weight");
    return attend(a, a.window(), query, key, value, a.keyValueHeads());
  }

  /**
   * Latent attention, computed twice: with keys and values of every head, and in the absorbed form,
   * in which queries are taken to the latent's space. Values agree; an implementation may choose
   * either, so the larger error counts.
   */
  private Estimate latent(String stem, Attention.MultiHeadLatent a, Estimate x) {
    int turned = a.rotary().dimensions();
    Estimate query = query(stem, a, x);
    query = rotate(a.rotary(), query, a.plainSize(), a.headSize());
    Estimate down = linear(x, stem + "latent_down.weight");
    Estimate latent =
        arithmetic.norm(
            columns(down, 0, a.latentSize()),
            weights.tensor(stem + "latent_norm.weight"),
            a.latentNormEpsilon());
    Estimate shared = rotate(a.rotary(), columns(down, a.latentSize(), turned), 0, turned);
    WeightMatrix up = weights.tensor(stem + "latent_up.weight");
    Estimate expanded = expanded(a, query, latent, shared, up);
    Estimate absorbed = absorbed(a, query, latent, shared, up);
    return expanded.withErrorsOf(absorbed);
  }

  private Estimate query(String stem, Attention.MultiHeadLatent a, Estimate x) {
    if (a.queryRank() == null) {
      return linear(x, stem + "query.weight");
    }
    Estimate normed =
        arithmetic.norm(
            linear(x, stem + "query_down.weight"),
            weights.tensor(stem + "query_norm.weight"),
            a.latentNormEpsilon());
    return linear(normed, stem + "query_up.weight");
  }

  private Estimate expanded(
      Attention.MultiHeadLatent a,
      Estimate query,
      Estimate latent,
      Estimate shared,
      WeightMatrix up) {
    Estimate both = arithmetic.linear(latent, up);
    int stride = a.plainSize() + a.valueSize();
    var key = new Estimate(latent.rows(), a.heads() * a.headSize());
    var value = new Estimate(latent.rows(), a.heads() * a.valueSize());
    for (int head = 0; head < a.heads(); head++) {
      key.copy(both, head * stride, a.plainSize(), head * a.headSize());
      key.copy(shared, 0, shared.columns(), head * a.headSize() + a.plainSize());
      value.copy(both, head * stride + a.plainSize(), a.valueSize(), head * a.valueSize());
    }
    return attend(a, null, query, key, value, a.heads());
  }

  private Estimate absorbed(
      Attention.MultiHeadLatent a,
      Estimate query,
      Estimate latent,
      Estimate shared,
      WeightMatrix up) {
    int rank = a.latentSize();
    int turned = a.rotary().dimensions();
    int width = rank + turned;
    int stride = a.plainSize() + a.valueSize();
    var inLatent = new Estimate(query.rows(), a.heads() * width);
    double[][] rows = new double[a.plainSize()][rank];
    double[] column = new double[a.plainSize()];
    double[] rounding = new double[a.plainSize()];
    for (int head = 0; head < a.heads(); head++) {
      for (int i = 0; i < rows.length; i++) {
        up.read(head * stride + i, rows[i]);
      }
      for (int j = 0; j < rank; j++) {
        for (int i = 0; i < rows.length; i++) {
          column[i] = rows[i][j];
          rounding[i] = up.roundingOf(head * stride + i, j, column[i]);
        }
        for (int t = 0; t < query.rows(); t++) {
          arithmetic.dot(
              query, t, head * a.headSize(), column, rounding, inLatent, head * width + j);
        }
      }
      inLatent.copy(query, head * a.headSize() + a.plainSize(), turned, head * width + rank);
    }
    var key = new Estimate(latent.rows(), width);
    key.copy(latent, 0, rank, 0);
    key.copy(shared, 0, turned, rank);
    Estimate context = attend(a, null, arithmetic.settle(inLatent), key, latent, 1);
    var joined = new Estimate(query.rows(), a.heads() * a.valueSize());
    double[] row = new double[rank];
    double[] rowRounding = new double[rank];
    for (int head = 0; head < a.heads(); head++) {
      for (int i = 0; i < a.valueSize(); i++) {
        up.read(head * stride + a.plainSize() + i, row);
        for (int j = 0; j < rank; j++) {
          rowRounding[j] = up.roundingOf(head * stride + a.plainSize() + i, j, row[j]);
        }
        for (int t = 0; t < query.rows(); t++) {
          arithmetic.dot(
              context, t, head * rank, row, rowRounding, joined, head * a.valueSize() + i);
        }
      }
    }
    return arithmetic.settle(joined);
  }

  private static Estimate columns(Estimate x, int from, int count) {
    var part = new Estimate(x.rows(), count);
    part.copy(x, from, count, 0);
    return part;
  }

  /** Every head's query against the keys it may see; values side by side, [T, heads · width]. */
  private Estimate attend(
      Attention.Softmax attention,
      @Nullable Integer window,
      Estimate query,
      Estimate key,
      Estimate value,
      int keyValueHeads) {
    int heads = attention.heads();
    int valueSize = value.columns() / keyValueHeads;
    var joined = new Estimate(query.rows(), heads * valueSize);
    for (int head = 0; head < heads; head++) {
      int shared = head * keyValueHeads / heads;
      for (int t = 0; t < query.rows(); t++) {
        int first = window == null ? 0 : Math.max(0, t - window + 1);
        Estimate scores =
            scores(
                attention.softmaxScale(),
                query,
                key,
                t,
                head,
                query.columns() / heads,
                shared,
                first);
        mix(scores, value, valueSize, t, head, shared, first, joined);
      }
    }
    return arithmetic.settle(joined);
  }

  /** scale · q·k for one query and the keys from the first it may see to its own. */
  private Estimate scores(
      double scale, Estimate query, Estimate key, int t, int head, int d, int shared, int first) {
    double a = arithmetic.a();
    var scores = new Estimate(1, t - first + 1);
    for (int j = first; j <= t; j++) {
      double dot = 0;
      double squares = 0;
      double carried = 0;
      for (int i = 0; i < d; i++) {
        double q = query.value(t, head * d + i);
        double k = key.value(j, shared * d + i);
        double error = norm2(q * key.error(j, shared * d + i), k * query.error(t, head * d + i), 0);
        dot += q * k;
        squares += q * k * q * k;
        carried += error * error;
      }
      // The product and its multiple are each stored.
      double rounding = a * a * d * (squares + dot * dot) + 2 * arithmetic.storing() * dot * dot;
      scores.set(0, j - first, scale * dot, scale * Math.sqrt(carried + rounding));
    }
    return arithmetic.settle(scores);
  }

  /**
   * y = Σ p_j v_j of one query, p = softmax(scores). Since Σ p_j stays 1, an error of score j moves
   * y by p_j (v_j − y) of it.
   */
  private void mix(
      Estimate scores,
      Estimate value,
      int d,
      int t,
      int head,
      int shared,
      int first,
      Estimate joined) {
    double a = arithmetic.a();
    int n = scores.columns();
    Estimate probabilities = arithmetic.softmax(scores, 0);
    double max = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < n; j++) {
      max = Math.max(max, scores.value(0, j));
    }
    for (int i = 0; i < d; i++) {
      double y = 0;
      double squares = 0;
      double carried = 0;
      for (int j = 0; j < n; j++) {
        double p = probabilities.value(0, j);
        double v = value.value(first + j, shared * d + i);
        double error = p * value.error(first + j, shared * d + i);
        y += p * v;
        squares += p * v * p * v;
        carried += error * error;
      }
      for (int j = 0; j < n; j++) {
        double away = value.value(first + j, shared * d + i) - y;
        double score =
            norm2(
                scores.error(0, j),
                a * (max - scores.value(0, j)),
                Arithmetic.FUNCTION_ROUNDINGS * a);
        double moved = probabilities.value(0, j) * away * score;
        carried += moved * moved;
      }
      // The sum of exponentials and the sum of products are each rounded n times; probabilities
      // and the result are stored.
      double rounding =
          a * a * n * (squares + 2 * y * y) + arithmetic.storing() * (squares + y * y);
      joined.set(t, head * d + i, y, Math.sqrt(carried + rounding));
    }
  }

  /**
   * Turns each pair of a head's rotated dimensions by position × frequency.
   *
   * @param offset of the rotated dimensions in a head
   * @param stride width of a head
   */
  private Estimate rotate(Rotary rotary, Estimate x, int offset, int stride) {
    int pairs = rotary.dimensions() / 2;
    double magnitude = rotary.magnitude();
    var result = new Estimate(x.rows(), x.columns());
    result.copy(x, 0, x.columns(), 0);
    for (int t = 0; t < x.rows(); t++) {
      for (int start = offset; start < x.columns(); start += stride) {
        for (int i = 0; i < pairs; i++) {
          boolean halves = rotary.pairing() == Rotary.Pairing.HALVES;
          int one = start + (halves ? i : 2 * i);
          int two = start + (halves ? i + pairs : 2 * i + 1);
          double angle = t * Frequencies.of(rotary, i);
          turn(x, result, t, one, two, angle, Frequencies.roundings(rotary, i) * angle, magnitude);
        }
      }
    }
    return arithmetic.settle(result);
  }

  private void turn(
      Estimate x,
      Estimate result,
      int t,
      int one,
      int two,
      double angle,
      double roundings,
      double magnitude) {
    double u = arithmetic.u();
    double cos = magnitude * Math.cos(angle);
    double sin = magnitude * Math.sin(angle);
    double x1 = x.value(t, one);
    double x2 = x.value(t, two);
    double e1 = x.error(t, one);
    double e2 = x.error(t, two);
    double y1 = x1 * cos - x2 * sin;
    double y2 = x2 * cos + x1 * sin;
    double rounding = Arithmetic.FUNCTION_ROUNDINGS * u * magnitude * Math.hypot(x1, x2);
    double angleError = arithmetic.a() * roundings;
    result.set(t, one, y1, norm2(norm2(cos * e1, sin * e2, 0), angleError * y2, rounding));
    result.set(t, two, y2, norm2(norm2(cos * e2, sin * e1, 0), angleError * y1, rounding));
  }
}
