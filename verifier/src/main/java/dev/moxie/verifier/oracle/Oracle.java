package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass of an {@link Architecture} as its Javadoc states it, in double precision, one
 * plain loop per formula, sharing nothing with the lowering.
 *
 * <p>Beside each value v it carries e, the standard deviation of the rounding error that an
 * implementation with unit roundoff u would have made: first-order propagation, in which
 * independent errors add in quadrature (Higham and Mary, "A New Approach to Probabilistic Rounding
 * Error Analysis", SIAM J. Sci. Comput. 41(5), 2019).
 *
 * <ul>
 *   <li>y = Σ x_i w_i over n terms: e² = Σ (w_i e_i)² + u² n (Σ (x_i w_i)² + y²). The second part
 *       stands for n rounded partial sums: they have about the root of the sum of squares where
 *       signs are mixed, and at most |y| where they are not. Terms sorted by sign would make them
 *       larger; no kernel sorts.
 *   <li>y = f(x): e² = (f′(x) e_x)² + (c u y)², c for the roundings inside f.
 * </ul>
 */
public final class Oracle {
  /** Roundings inside exp, sigmoid, division and the like; each is a few half units. */
  private static final double FUNCTION_ROUNDINGS = 4;

  private final MoxiePackage pack;
  private final Architecture architecture;
  private final double u;

  /**
   * An oracle for a package.
   *
   * @param unitRoundoff u of the implementation whose errors are estimated: 2⁻²⁴ for float32
   */
  public Oracle(MoxiePackage pack, double unitRoundoff) {
    this.pack = pack;
    this.architecture = pack.architecture();
    this.u = unitRoundoff;
  }

  /**
   * What one layer does with T tokens.
   *
   * @param normed what router and experts read, [T, H]
   * @param routerLogits [T, E]
   * @param scores [T, E]
   * @param experts chosen, best first, one array [k] per token
   * @param weights of those, [T, k]
   * @param expertsOutput [T, H]
   * @param output [T, H]
   */
  public record Layer(
      Estimate normed,
      Estimate routerLogits,
      Estimate scores,
      List<int[]> experts,
      Estimate weights,
      Estimate expertsOutput,
      Estimate output) {}

  /** Hidden states of tokens, [T, H]. */
  public Estimate embed(long[] ids) {
    var matrix = new WeightMatrix(pack, pack.tensor("embedding.weight"));
    var hidden = new Estimate(ids.length, matrix.columns());
    double[] row = new double[matrix.columns()];
    for (int t = 0; t < ids.length; t++) {
      matrix.read(Math.toIntExact(ids[t]), row);
      for (int c = 0; c < row.length; c++) {
        hidden.set(t, c, row[c], 0);
      }
    }
    return hidden;
  }

  /** Logits, [T, V]. */
  public Estimate head(Estimate hidden) {
    return linear(
        norm(hidden, "final_norm.weight"),
        pack.tensor(architecture.tiedEmbeddings() ? "embedding.weight" : "head.weight"));
  }

  /**
   * One layer on the first T positions.
   *
   * @param replayed the experts of each token where the caller decides them, else null
   */
  public Layer layer(int layer, Estimate input, @Nullable List<int[]> replayed) {
    String prefix = "layers." + layer + ".";
    Architecture.Blocks block = architecture.layers().get(layer);
    Estimate attended =
        switch (block.attention()) {
          case Attention.GroupedQuery a ->
              attention(prefix, a, norm(input, prefix + "attention_norm.weight"));
        };
    Estimate residual = sum(input, attended);
    Estimate normed = norm(residual, prefix + "feed_forward_norm.weight");
    return switch (block.feedForward()) {
      case FeedForward.MixtureOfExperts moe -> experts(prefix, moe, residual, normed, replayed);
    };
  }

  private Estimate sum(Estimate a, Estimate b) {
    var result = new Estimate(a.rows(), a.columns());
    for (int r = 0; r < a.rows(); r++) {
      for (int c = 0; c < a.columns(); c++) {
        double y = a.value(r, c) + b.value(r, c);
        result.set(r, c, y, norm2(a.error(r, c), b.error(r, c), u * y));
      }
    }
    return result;
  }

  /** y = x Wᵀ. */
  private Estimate linear(Estimate x, IndexRow weight) {
    var matrix = new WeightMatrix(pack, weight);
    int n = matrix.columns();
    var result = new Estimate(x.rows(), matrix.rows());
    double[] w = new double[n];
    for (int o = 0; o < matrix.rows(); o++) {
      matrix.read(o, w);
      for (int r = 0; r < x.rows(); r++) {
        double y = 0;
        double squares = 0;
        double carried = 0;
        for (int i = 0; i < n; i++) {
          double term = w[i] * x.value(r, i);
          double error = w[i] * x.error(r, i);
          y += term;
          squares += term * term;
          carried += error * error;
        }
        result.set(r, o, y, Math.sqrt(carried + u * u * n * (squares + y * y)));
      }
    }
    return result;
  }

  /** y = weight · x / sqrt(mean(x²) + epsilon). */
  private Estimate norm(Estimate x, String weight) {
    int n = x.columns();
    double[] w = new double[n];
    new WeightMatrix(pack, pack.tensor(weight)).read(0, w);
    var result = new Estimate(x.rows(), n);
    for (int r = 0; r < x.rows(); r++) {
      double squares = 0;
      double carried = 0;
      for (int i = 0; i < n; i++) {
        double v = x.value(r, i);
        squares += v * v;
        carried += v * v * x.error(r, i) * x.error(r, i);
      }
      double mean = squares / n + architecture.normEpsilon();
      double root = Math.sqrt(mean);
      // d(root)/root = Σ x dx / (n mean); the sum of squares itself is rounded n times.
      double relative = norm2(Math.sqrt(carried) / (n * mean), u * Math.sqrt(n), 0);
      for (int i = 0; i < n; i++) {
        double y = w[i] * x.value(r, i) / root;
        double own = w[i] * x.error(r, i) / root;
        result.set(r, i, y, norm2(own, y * relative, FUNCTION_ROUNDINGS * u * y));
      }
    }
    return result;
  }

  private Estimate attention(String prefix, Attention.GroupedQuery a, Estimate x) {
    String stem = prefix + "attention.";
    Estimate query = rotate(a, linear(x, pack.tensor(stem + "query.weight")));
    Estimate key = rotate(a, linear(x, pack.tensor(stem + "key.weight")));
    Estimate value = linear(x, pack.tensor(stem + "value.weight"));
    var joined = new Estimate(x.rows(), a.heads() * a.headSize());
    for (int head = 0; head < a.heads(); head++) {
      int shared = head * a.keyValueHeads() / a.heads();
      for (int t = 0; t < x.rows(); t++) {
        attend(a, query, key, value, head, shared, t, joined);
      }
    }
    return linear(joined, pack.tensor(stem + "output.weight"));
  }

  /** One query against the keys it may see. */
  private void attend(
      Attention.GroupedQuery a,
      Estimate query,
      Estimate key,
      Estimate value,
      int head,
      int shared,
      int t,
      Estimate joined) {
    int first = a.window() == null ? 0 : Math.max(0, t - a.window() + 1);
    int d = a.headSize();
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
      double rounding = u * u * d * (squares + dot * dot);
      scores.set(0, j - first, a.scale() * dot, a.scale() * Math.sqrt(carried + rounding));
    }
    Estimate probabilities = softmax(scores, 0);
    int n = scores.columns();
    for (int i = 0; i < d; i++) {
      double y = 0;
      double squares = 0;
      double carried = 0;
      for (int j = 0; j < n; j++) {
        double p = probabilities.value(0, j);
        double v = value.value(first + j, shared * d + i);
        double error =
            norm2(p * value.error(first + j, shared * d + i), v * probabilities.error(0, j), 0);
        y += p * v;
        squares += p * v * p * v;
        carried += error * error;
      }
      joined.set(t, head * d + i, y, Math.sqrt(carried + u * u * n * (squares + y * y)));
    }
  }

  /**
   * Turns each pair by position × frequency. Exponent x = 2i/dimensions, power, reciprocal and
   * angle are each rounded to the computing precision before cosine and sine are taken, which moves
   * the angle by up to u (3 + x ln theta) of itself.
   */
  private Estimate rotate(Attention.GroupedQuery a, Estimate x) {
    Rotary rotary = a.rotary();
    int pairs = rotary.dimensions() / 2;
    var result = new Estimate(x.rows(), x.columns());
    for (int t = 0; t < x.rows(); t++) {
      for (int c = 0; c < x.columns(); c++) {
        result.set(t, c, x.value(t, c), x.error(t, c));
      }
      for (int start = 0; start < x.columns(); start += a.headSize()) {
        for (int i = 0; i < pairs; i++) {
          double angle = t * Math.pow(rotary.theta(), -2.0 * i / rotary.dimensions());
          boolean halves = rotary.pairing() == Rotary.Pairing.HALVES;
          int one = start + (halves ? i : 2 * i);
          int two = start + (halves ? i + pairs : 2 * i + 1);
          double rounded = 3 + 2.0 * i / rotary.dimensions() * Math.abs(Math.log(rotary.theta()));
          turn(x, result, t, one, two, angle, u * rounded * angle);
        }
      }
    }
    return result;
  }

  private void turn(
      Estimate x, Estimate result, int t, int one, int two, double angle, double angleError) {
    double cos = Math.cos(angle);
    double sin = Math.sin(angle);
    double x1 = x.value(t, one);
    double x2 = x.value(t, two);
    double e1 = x.error(t, one);
    double e2 = x.error(t, two);
    double y1 = x1 * cos - x2 * sin;
    double y2 = x2 * cos + x1 * sin;
    double rounding = FUNCTION_ROUNDINGS * u * Math.hypot(x1, x2);
    result.set(t, one, y1, norm2(norm2(cos * e1, sin * e2, 0), angleError * y2, rounding));
    result.set(t, two, y2, norm2(norm2(cos * e2, sin * e1, 0), angleError * y1, rounding));
  }

  /** p_i = exp(x_i) / Σ exp(x_j) of one row; dp_i = p_i (dx_i − Σ p_j dx_j). */
  private Estimate softmax(Estimate x, int row) {
    int n = x.columns();
    double max = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < n; i++) {
      max = Math.max(max, x.value(row, i));
    }
    double total = 0;
    for (int i = 0; i < n; i++) {
      total += Math.exp(x.value(row, i) - max);
    }
    var result = new Estimate(1, n);
    double common = 0;
    for (int i = 0; i < n; i++) {
      double p = Math.exp(x.value(row, i) - max) / total;
      common += p * x.error(row, i) * p * x.error(row, i);
      result.set(0, i, p, 0);
    }
    for (int i = 0; i < n; i++) {
      double p = result.value(0, i);
      // The argument x_i − max is rounded, and exp turns that into a relative error.
      double argument = u * (max - x.value(row, i));
      double relative =
          norm2(
              norm2(x.error(row, i), Math.sqrt(common), argument),
              u * Math.sqrt(n),
              FUNCTION_ROUNDINGS * u);
      result.set(0, i, p, p * relative);
    }
    return result;
  }

  private Layer experts(
      String prefix,
      FeedForward.MixtureOfExperts moe,
      Estimate residual,
      Estimate normed,
      @Nullable List<int[]> replayed) {
    Estimate logits = linear(normed, pack.tensor(prefix + "router.weight"));
    var scores = new Estimate(normed.rows(), moe.experts());
    List<int[]> chosen = new ArrayList<>();
    int k = moe.routing().expertsPerToken();
    var weights = new Estimate(normed.rows(), k);
    for (int t = 0; t < normed.rows(); t++) {
      Estimate row =
          switch (moe.routing().score()) {
            case SOFTMAX -> softmax(logits, t);
          };
      for (int e = 0; e < moe.experts(); e++) {
        scores.set(t, e, row.value(0, e), row.error(0, e));
      }
      chosen.add(replayed == null ? select(row, k) : replayed.get(t));
      weigh(moe, row, chosen.get(t), t, weights);
    }
    var mixed = new Estimate(normed.rows(), normed.columns());
    for (int expert = 0; expert < moe.experts(); expert++) {
      addExpert(prefix + "experts.", expert, normed, chosen, weights, mixed);
    }
    return new Layer(normed, logits, scores, chosen, weights, mixed, sum(residual, mixed));
  }

  /** The k largest scores, by sorting: value descending, then id ascending. */
  private static int[] select(Estimate scores, int k) {
    List<Integer> ids = new ArrayList<>();
    for (int e = 0; e < scores.columns(); e++) {
      ids.add(e);
    }
    ids.sort(
        (a, b) -> {
          int byScore = Double.compare(scores.value(0, b), scores.value(0, a));
          return byScore != 0 ? byScore : Integer.compare(a, b);
        });
    return ids.stream().limit(k).mapToInt(Integer::intValue).toArray();
  }

  private void weigh(
      FeedForward.MixtureOfExperts moe, Estimate scores, int[] chosen, int t, Estimate weights) {
    double total = 0;
    double totalError = 0;
    for (int expert : chosen) {
      total += scores.value(0, expert);
      totalError = Math.hypot(totalError, scores.error(0, expert));
    }
    var normalisation = moe.routing().normalisation();
    for (int i = 0; i < chosen.length; i++) {
      double s = scores.value(0, chosen[i]);
      double e = scores.error(0, chosen[i]);
      if (normalisation != null) {
        double divisor = total + normalisation.epsilon();
        e = norm2(e / divisor, s / divisor * (totalError / divisor), 0);
        s = s / divisor;
      }
      s *= moe.routing().scale();
      e *= moe.routing().scale();
      weights.set(t, i, s, norm2(e, FUNCTION_ROUNDINGS * u * s, 0));
    }
  }

  private void addExpert(
      String stem,
      int expert,
      Estimate normed,
      List<int[]> chosen,
      Estimate weights,
      Estimate mixed) {
    List<int[]> places = new ArrayList<>();
    for (int t = 0; t < chosen.size(); t++) {
      for (int i = 0; i < chosen.get(t).length; i++) {
        if (chosen.get(t)[i] == expert) {
          places.add(new int[] {t, i});
        }
      }
    }
    if (places.isEmpty()) {
      return;
    }
    var x = new Estimate(places.size(), normed.columns());
    for (int p = 0; p < places.size(); p++) {
      for (int c = 0; c < normed.columns(); c++) {
        int t = places.get(p)[0];
        x.set(p, c, normed.value(t, c), normed.error(t, c));
      }
    }
    Estimate gate = linear(x, pack.slice(stem + "gate_up.weight", expert, Projection.GATE));
    Estimate up = linear(x, pack.slice(stem + "gate_up.weight", expert, Projection.UP));
    Estimate y = linear(gated(gate, up), pack.slice(stem + "down.weight", expert, Projection.DOWN));
    for (int p = 0; p < places.size(); p++) {
      int t = places.get(p)[0];
      double w = weights.value(t, places.get(p)[1]);
      double we = weights.error(t, places.get(p)[1]);
      for (int c = 0; c < y.columns(); c++) {
        double v = w * y.value(p, c);
        mixed.add(
            t, c, v, norm2(w * y.error(p, c), we * y.value(p, c), FUNCTION_ROUNDINGS * u * v));
      }
    }
  }

  /** silu(g) · u with silu(g) = g σ(g), silu′(g) = σ(g) (1 + g (1 − σ(g))). */
  private Estimate gated(Estimate gate, Estimate up) {
    var result = new Estimate(gate.rows(), gate.columns());
    for (int r = 0; r < gate.rows(); r++) {
      for (int c = 0; c < gate.columns(); c++) {
        double g = gate.value(r, c);
        double sigmoid = 1 / (1 + Math.exp(-g));
        double silu = g * sigmoid;
        double slope = sigmoid * (1 + g * (1 - sigmoid));
        double y = silu * up.value(r, c);
        // Inside σ the exponential's argument is rounded: a relative error of u |g| at most.
        double rounding = (FUNCTION_ROUNDINGS + Math.abs(g)) * u * y;
        result.set(
            r,
            c,
            y,
            norm2(slope * gate.error(r, c) * up.value(r, c), silu * up.error(r, c), rounding));
      }
    }
    return result;
  }

  private static double norm2(double a, double b, double c) {
    return Math.sqrt(a * a + b * b + c * c);
  }
}
