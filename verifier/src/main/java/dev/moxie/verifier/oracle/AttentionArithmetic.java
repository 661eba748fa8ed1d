package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Rotary;
import java.util.Arrays;
import java.util.Objects;
import java.util.function.IntFunction;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** The operations of attention, heads and positions included; {@link Exact} says what for. */
record AttentionArithmetic(Arithmetic arithmetic) {
  /**
   * Latent attention, computed twice: with keys and values of every head, and in the absorbed form,
   * in which queries are taken to the latent's space. Values agree; an implementation may choose
   * either, so the larger error counts.
   */
  Estimate latent(
      Attention.MultiHeadLatent a,
      Seen seen,
      Estimate query,
      Estimate latent,
      Estimate shared,
      WeightMatrix up) {
    Estimate expanded = expanded(a, seen, query, latent, shared, up);
    Estimate absorbed = absorbed(a, seen, query, latent, shared, up);
    return expanded.withErrorsOf(absorbed);
  }

  private Estimate expanded(
      Attention.MultiHeadLatent a,
      Seen seen,
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
    return attend(a, seen, query, key, value, a.heads(), null);
  }

  private Estimate absorbed(
      Attention.MultiHeadLatent a,
      Seen seen,
      Estimate query,
      Estimate latent,
      Estimate shared,
      WeightMatrix up) {
    int rank = a.latentSize();
    int width = rank + a.shared();
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
      inLatent.copy(query, head * a.headSize() + a.plainSize(), a.shared(), head * width + rank);
    }
    var key = new Estimate(latent.rows(), width);
    key.copy(latent, 0, rank, 0);
    key.copy(shared, 0, a.shared(), rank);
    Estimate context = attend(a, seen, arithmetic.settle(inLatent), key, latent, 1, null);
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

  /**
   * Every head's query against the keys it may see; values side by side, [T, heads · width].
   *
   * @param sinks a score per head beside those of keys; null where there are none
   */
  Estimate attend(
      Attention.Softmax attention,
      Seen seen,
      Estimate query,
      Estimate key,
      Estimate value,
      int keyValueHeads,
      @Nullable WeightMatrix sinks) {
    return attend(attention, head -> seen, query, key, value, keyValueHeads, sinks, null);
  }

  /**
   * The same with biases by distance.
   *
   * @param ofHead which positions tokens see with a head
   * @param distances [buckets, heads]; null where there are none
   */
  Estimate attend(
      Attention.Softmax attention,
      IntFunction<Seen> ofHead,
      Estimate query,
      Estimate key,
      Estimate value,
      int keyValueHeads,
      @Nullable WeightMatrix sinks,
      @Nullable WeightMatrix distances) {
    int heads = attention.heads();
    int valueSize = value.columns() / keyValueHeads;
    var joined = new Estimate(query.rows(), heads * valueSize);
    for (int head = 0; head < heads; head++) {
      int shared = head * keyValueHeads / heads;
      Seen seen = ofHead.apply(head);
      for (int t = 0; t < query.rows(); t++) {
        int[] keys = seen.of(t);
        Estimate scores =
            scores(attention, query, key, t, head, query.columns() / heads, shared, keys);
        if (distances != null && attention instanceof Attention.GroupedQuery grouped) {
          shift(grouped, distances, scores, t, head, keys);
        }
        Estimate all = sinks == null ? scores : withSink(scores, sinks, head);
        mix(all, value, valueSize, t, head, shared, keys, joined);
        if (seen.undecided(t).length > 0) {
          int[] both = union(keys, seen.undecided(t));
          widen(
              scores(attention, query, key, t, head, query.columns() / heads, shared, both),
              value,
              valueSize,
              t,
              head,
              shared,
              both,
              seen.undecided(t),
              joined);
        }
      }
    }
    return arithmetic.settle(joined);
  }

  /** scale · q·k for one query and the keys that it sees, held below a cap where there is one. */
  private Estimate scores(
      Attention.Softmax attention,
      Estimate query,
      Estimate key,
      int t,
      int head,
      int d,
      int shared,
      int[] keys) {
    double scale = attention.softmaxScale();
    Double cap = attention instanceof Attention.GroupedQuery grouped ? grouped.scoreCap() : null;
    double a = arithmetic.a();
    var scores = new Estimate(1, keys.length);
    for (int c = 0; c < keys.length; c++) {
      int j = keys[c];
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
      scores.set(0, c, scale * dot, scale * Math.sqrt(carried + rounding));
    }
    return cap == null ? arithmetic.settle(scores) : arithmetic.cap(arithmetic.settle(scores), cap);
  }

  /**
   * Σ_h w_h max(0, q_h · k_j) of every token and all positions up to its own. What is so far below
   * zero that no error brings it back has none.
   */
  Estimate index(Attention.Indexer n, int every, Estimate query, Estimate key, Estimate weights) {
    int d = n.size();
    var scores = new Estimate(query.rows(), key.rows());
    for (int t = 0; t < query.rows(); t++) {
      for (int j = 0; j < (t + 1) / every; j++) {
        double sum = 0;
        double squares = 0;
        double carried = 0;
        for (int h = 0; h < n.heads(); h++) {
          Product product = product(query, t, h * d, key, j, d);
          double w = weights.value(t, h);
          double positive = Math.max(0, product.value());
          boolean away = -product.value() > Arithmetic.FAR * product.error();
          sum += w * positive;
          squares += w * positive * w * positive;
          double off = away ? 0 : w * product.error();
          double moved = norm2(off, weights.error(t, h) * positive, 0);
          carried += moved * moved;
        }
        scores.set(t, j, sum, arithmetic.errorOfSum(n.heads(), sum, squares, carried));
      }
    }
    return arithmetic.settle(scores);
  }

  /**
   * max over j in B of q_h · k_j of every token and all blocks up to its own. Whichever position of
   * a block has the largest, the error of the largest is no more than the largest error.
   */
  Estimate index(Attention.BlockIndexer n, Estimate query, Estimate key) {
    int d = n.size();
    int blocks = n.blocks(key.rows() - 1L);
    var scores = new Estimate(query.rows(), n.heads() * blocks);
    for (int t = 0; t < query.rows(); t++) {
      for (int h = 0; h < n.heads(); h++) {
        for (int b = 0; b < n.blocks(t); b++) {
          double most = Double.NEGATIVE_INFINITY;
          double off = 0;
          for (int j = b * n.block(); j < Math.min((b + 1) * n.block(), t + 1); j++) {
            Product product = product(query, t, h * d, key, j, d);
            most = Math.max(most, product.value());
            off = Math.max(off, product.error());
          }
          scores.set(t, h * blocks + b, most, off);
        }
      }
    }
    return arithmetic.settle(scores);
  }

  /** A product of a query and a key of an indexer. */
  private record Product(double value, double error) {}

  private Product product(Estimate query, int t, int from, Estimate key, int j, int d) {
    double dot = 0;
    double squares = 0;
    double carried = 0;
    for (int i = 0; i < d; i++) {
      double q = query.value(t, from + i);
      double k = key.value(j, i);
      double each = norm2(q * key.error(j, i), k * query.error(t, from + i), 0);
      dot += q * k;
      squares += q * k * q * k;
      carried += each * each;
    }
    return new Product(dot, arithmetic.errorOfSum(d, dot, squares, carried));
  }

  /** Adds what scores of one query have by the distance of their keys. */
  private void shift(
      Attention.GroupedQuery a,
      WeightMatrix distances,
      Estimate scores,
      int t,
      int head,
      int[] keys) {
    double[] row = new double[distances.columns()];
    for (int c = 0; c < keys.length; c++) {
      int bucket = Objects.requireNonNull(a.distances()).bucket(keys[c] - t, a.bidirectional());
      distances.read(bucket, row);
      double score = scores.value(0, c) + row[head];
      double rounding = Math.sqrt(arithmetic.storing()) * score;
      double stored = distances.roundingOf(bucket, head, row[head]);
      scores.set(0, c, score, norm2(scores.error(0, c), rounding, stored));
    }
  }

  /** Embeddings and the sines and cosines of their positions. */
  Estimate place(Architecture.Sinusoids positions, long[] tokens, Estimate x) {
    int half = x.columns() / 2;
    var result = new Estimate(x.rows(), x.columns());
    result.copy(x, 0, x.columns(), 0);
    int position = positions.first();
    for (int t = 0; t < x.rows(); t++) {
      if (positions.padding() != null && tokens[t] == positions.padding()) {
        continue;
      }
      for (int n = 0; n < half; n++) {
        double exponent = n * Math.log(10000) / (half - 1);
        double angle = position * Math.exp(-exponent);
        // Exponent, frequency and angle are each rounded.
        double off = arithmetic.a() * angle * (exponent + Arithmetic.FUNCTION_ROUNDINGS);
        place(result, t, n, Math.sin(angle), off);
        place(result, t, half + n, Math.cos(angle), off);
      }
      position++;
    }
    return result;
  }

  private void place(Estimate result, int t, int column, double added, double off) {
    double y = result.value(t, column) + added;
    double u = arithmetic.u();
    result.set(t, column, y, norm2(norm2(result.error(t, column), off, 0), u * added, u * y));
  }

  private static Estimate withSink(Estimate scores, WeightMatrix sinks, int head) {
    double[] sink = new double[sinks.columns()];
    sinks.read(0, sink);
    var all = new Estimate(1, scores.columns() + 1);
    all.copy(scores, 0, scores.columns(), 0);
    all.set(0, scores.columns(), sink[head], sinks.roundingOf(0, head, sink[head]));
    return all;
  }

  /**
   * y = Σ p_j v_j of one query, p = softmax(scores). Since Σ p_j stays 1, an error of score j moves
   * y by p_j (v_j − y) of it. A score without a key has the value 0.
   */
  private void mix(
      Estimate scores,
      Estimate value,
      int d,
      int t,
      int head,
      int shared,
      int[] keys,
      Estimate joined) {
    double a = arithmetic.a();
    int n = scores.columns();
    Estimate probabilities = arithmetic.softmax(scores, 0);
    double max = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < n; j++) {
      max = Math.max(max, scores.value(0, j));
    }
    double[] score = new double[n];
    for (int j = 0; j < n; j++) {
      double argument = a * (max - scores.value(0, j));
      score[j] = norm2(scores.error(0, j), argument, Arithmetic.FUNCTION_ROUNDINGS * a);
    }
    for (int i = 0; i < d; i++) {
      double y = 0;
      double squares = 0;
      double carried = 0;
      for (int j = 0; j < n; j++) {
        double p = probabilities.value(0, j);
        boolean sink = j == keys.length;
        double v = sink ? 0 : value.value(keys[j], shared * d + i);
        double error = sink ? 0 : p * value.error(keys[j], shared * d + i);
        y += p * v;
        squares += p * v * p * v;
        carried += error * error;
      }
      for (int j = 0; j < n; j++) {
        double away = (j == keys.length ? 0 : value.value(keys[j], shared * d + i)) - y;
        double moved = probabilities.value(0, j) * away * score[j];
        carried += moved * moved;
      }
      // The sum of exponentials and the sum of products are each rounded n times; probabilities
      // and the result are stored.
      double rounding =
          a * a * n * (squares + 2 * y * y) + arithmetic.storing() * (squares + y * y);
      joined.set(t, head * d + i, y, Math.sqrt(carried + rounding));
    }
  }

  private static int[] union(int[] some, int[] others) {
    return IntStream.concat(IntStream.of(some), IntStream.of(others)).distinct().sorted().toArray();
  }

  /**
   * Adds to the error of y what another choice of undecided positions would move it by: each that
   * is seen or not moves it by its share of the way from y to its value, of a whole that is no
   * smaller than that of the positions that are seen in any case.
   *
   * @param scores of all that may be seen
   */
  private static void widen(
      Estimate scores,
      Estimate value,
      int d,
      int t,
      int head,
      int shared,
      int[] keys,
      int[] undecided,
      Estimate joined) {
    double max = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < keys.length; j++) {
      max = Math.max(max, scores.value(0, j));
    }
    double certain = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int j = 0; j < keys.length; j++) {
      double share = Math.exp(scores.value(0, j) - max);
      boolean open = Arrays.binarySearch(undecided, keys[j]) >= 0;
      certain += open ? 0 : share;
      least = Math.min(least, share);
    }
    for (int i = 0; i < d; i++) {
      double y = joined.value(t, head * d + i);
      double moved = 0;
      for (int j = 0; j < keys.length; j++) {
        if (Arrays.binarySearch(undecided, keys[j]) >= 0) {
          double share = Math.exp(scores.value(0, j) - max) / Math.max(certain, least);
          moved += share * Math.abs(value.value(keys[j], shared * d + i) - y);
        }
      }
      joined.set(t, head * d + i, y, norm2(joined.error(t, head * d + i), moved, 0));
    }
  }

  /** Queries times a factor that grows with their position. */
  Estimate temper(Attention.Temperature temperature, Estimate x) {
    var result = new Estimate(x.rows(), x.columns());
    for (int t = 0; t < x.rows(); t++) {
      double floors = Math.floor(temperature.count(t) / temperature.floor());
      double factor = 1 + temperature.scale() * Math.log1p(floors);
      for (int c = 0; c < x.columns(); c++) {
        double y = factor * x.value(t, c);
        double rounding = Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u() * y;
        result.set(t, c, y, norm2(factor * x.error(t, c), rounding, 0));
      }
    }
    return arithmetic.settle(result);
  }

  /**
   * Turns each pair of a head's rotated dimensions by position × frequency.
   *
   * @param offset of the rotated dimensions in a head
   * @param stride width of a head
   */
  Estimate rotate(Rotary rotary, Estimate x, int offset, int stride) {
    return rotate(rotary, x, offset, stride, t -> t);
  }

  /** The same by positions that are not the tokens' own. */
  Estimate rotate(Rotary rotary, Estimate x, int offset, int stride, IntUnaryOperator position) {
    int pairs = rotary.dimensions() / 2;
    double magnitude = rotary.magnitude();
    var result = new Estimate(x.rows(), x.columns());
    result.copy(x, 0, x.columns(), 0);
    boolean halves = rotary.pairing() == Rotary.Pairing.HALVES;
    for (int i = 0; i < pairs; i++) {
      double frequency = Frequencies.of(rotary, i);
      double roundings = Frequencies.roundings(rotary, i);
      int one = halves ? i : 2 * i;
      int two = halves ? i + pairs : 2 * i + 1;
      for (int t = 0; t < x.rows(); t++) {
        double angle = position.applyAsInt(t) * frequency;
        double cos = magnitude * Math.cos(angle);
        double sin = magnitude * Math.sin(angle);
        double error = arithmetic.a() * (roundings * angle);
        for (int start = offset; start < x.columns(); start += stride) {
          turn(x, result, t, start + one, start + two, cos, sin, error, magnitude);
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
      double cos,
      double sin,
      double angleError,
      double magnitude) {
    double x1 = x.value(t, one);
    double x2 = x.value(t, two);
    double e1 = x.error(t, one);
    double e2 = x.error(t, two);
    double y1 = x1 * cos - x2 * sin;
    double y2 = x2 * cos + x1 * sin;
    double rounding =
        Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u() * magnitude * Math.hypot(x1, x2);
    result.set(t, one, y1, norm2(norm2(cos * e1, sin * e2, 0), angleError * y2, rounding));
    result.set(t, two, y2, norm2(norm2(cos * e2, sin * e1, 0), angleError * y1, rounding));
  }
}
