package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import java.util.BitSet;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * The operations of a forward pass in double precision, one plain loop per formula. Beside each
 * value v they carry e, the standard deviation of the rounding error that an implementation with
 * unit roundoff u would have made: first-order propagation, in which independent errors add in
 * quadrature (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J.
 * Sci. Comput. 41(5), 2019).
 *
 * <ul>
 *   <li>y = Σ x_i w_i over n terms: e² = Σ (w_i e_i)² + Σ (x_i r_i)² + a² n (Σ (x_i w_i)² + y²) +
 *       (u² − a²) y², r_i being what was rounded off w_i. The third part stands for n rounded
 *       partial sums: they have about the root of the sum of squares where signs are mixed, and at
 *       most |y| where they are not. Terms sorted by sign would make them larger; no kernel sorts.
 *   <li>y = f(x): e² = (f′(x) e_x)² + (c u y)², c for the roundings inside f.
 *   <li>Each result that is stored: t² besides, t for those too small to keep all their digits.
 * </ul>
 *
 * @param u unit roundoff of results: 2⁻²⁴ for float32
 * @param a unit roundoff inside sums and functions, at most u
 * @param t {@link Precision#smallest}
 * @param noise null to carry errors along; else every result is moved by a sample of its own error
 *     and carries none, so that errors propagate as they really do, correlations and all (Parker,
 *     "Monte Carlo Arithmetic", 1997)
 */
record Arithmetic(double u, double a, double t, @Nullable Random noise) {
  /** Roundings inside exp, sigmoid, division and the like; each is a few half units. */
  static final double FUNCTION_ROUNDINGS = 4;

  /** Standard deviations that no error has. */
  static final double FAR = 10;

  static Arithmetic of(Precision precision) {
    return of(Precisions.of(precision));
  }

  static Arithmetic of(Precisions p) {
    Precision reference = p.reference();
    Precision runtime = p.runtime();
    return new Arithmetic(
        p.mean(reference.roundoff(), runtime.roundoff()),
        p.mean(reference.accumulation(), runtime.accumulation()),
        p.mean(reference.smallest(), runtime.smallest()),
        null);
  }

  Arithmetic with(@Nullable Random other) {
    return new Arithmetic(u, a, t, other);
  }

  /** What a step gives: the estimate itself, or a sample of it. */
  Estimate settle(Estimate result) {
    Estimate stored = t == 0 ? result : result.withErrorsBeside(t);
    return noise == null ? stored : stored.sample(noise);
  }

  /** u² − a²: what storing a result adds to rounding partial sums. */
  double storing() {
    return u * u - a * a;
  }

  Estimate sum(Estimate a, Estimate b) {
    var result = new Estimate(a.rows(), a.columns());
    for (int r = 0; r < a.rows(); r++) {
      for (int c = 0; c < a.columns(); c++) {
        double y = a.value(r, c) + b.value(r, c);
        result.set(r, c, y, norm2(a.error(r, c), b.error(r, c), u * y));
      }
    }
    return settle(result);
  }

  /** y = x + w, row by row. */
  Estimate shift(Estimate x, WeightMatrix vector) {
    double[] w = new double[x.columns()];
    vector.read(0, w);
    var result = new Estimate(x.rows(), x.columns());
    for (int r = 0; r < x.rows(); r++) {
      for (int c = 0; c < w.length; c++) {
        double y = x.value(r, c) + w[c];
        result.set(r, c, y, norm2(x.error(r, c), vector.roundingOf(0, c, w[c]), u * y));
      }
    }
    return settle(result);
  }

  /** y = x + the row of each token's position, with a vector for the x of the first. */
  Estimate situate(Estimate x, WeightMatrix first, WeightMatrix table) {
    double[] start = new double[x.columns()];
    double[] place = new double[x.columns()];
    first.read(0, start);
    var result = new Estimate(x.rows(), x.columns());
    for (int r = 0; r < x.rows(); r++) {
      table.read(r, place);
      for (int c = 0; c < place.length; c++) {
        double from = r == 0 ? start[c] : x.value(r, c);
        double error = r == 0 ? first.roundingOf(0, c, from) : x.error(r, c);
        double y = from + place[c];
        result.set(r, c, y, norm2(error, table.roundingOf(r, c, place[c]), u * y));
      }
    }
    return settle(result);
  }

  /** y = f x. */
  Estimate scale(Estimate x, double factor) {
    var result = new Estimate(x.rows(), x.columns());
    for (int r = 0; r < x.rows(); r++) {
      for (int c = 0; c < x.columns(); c++) {
        double y = factor * x.value(r, c);
        // An implementation rounds the factor, too.
        result.set(r, c, y, norm2(factor * x.error(r, c), u * y, u * y));
      }
    }
    return settle(result);
  }

  /** y = w x, w a stored number for each of so many columns side by side. */
  Estimate times(Estimate x, WeightMatrix factors) {
    double[] w = new double[factors.columns()];
    double[] rounded = new double[w.length];
    factors.read(0, w);
    factors.roundings(0, w, rounded);
    int each = x.columns() / w.length;
    var result = new Estimate(x.rows(), x.columns());
    for (int r = 0; r < x.rows(); r++) {
      for (int c = 0; c < x.columns(); c++) {
        double factor = w[c / each];
        double y = factor * x.value(r, c);
        double error = rounded[c / each] * x.value(r, c);
        result.set(r, c, y, norm2(factor * x.error(r, c), error, u * y));
      }
    }
    return settle(result);
  }

  /** y = limit · tanh(x / limit); dy = (1 − tanh²) dx. */
  Estimate cap(Estimate x, double limit) {
    var result = new Estimate(x.rows(), x.columns());
    for (int r = 0; r < x.rows(); r++) {
      for (int c = 0; c < x.columns(); c++) {
        double tanh = Math.tanh(x.value(r, c) / limit);
        double slope = 1 - tanh * tanh;
        // The quotient is rounded before tanh, and the limit itself with it.
        double carried = norm2(slope * x.error(r, c), 2 * u * slope * x.value(r, c), 0);
        double y = limit * tanh;
        result.set(r, c, y, norm2(carried, FUNCTION_ROUNDINGS * u * y, 0));
      }
    }
    return settle(result);
  }

  /** y = a b, element by element; one of b for each of so many columns of a side by side. */
  Estimate product(Estimate a, Estimate b) {
    int each = a.columns() / b.columns();
    var result = new Estimate(a.rows(), a.columns());
    for (int r = 0; r < a.rows(); r++) {
      for (int c = 0; c < a.columns(); c++) {
        int i = c / each;
        double y = a.value(r, c) * b.value(r, i);
        double carried = norm2(a.error(r, c) * b.value(r, i), a.value(r, c) * b.error(r, i), 0);
        result.set(r, c, y, norm2(carried, u * y, 0));
      }
    }
    return settle(result);
  }

  /** How far two implementations may be apart, each with such an error. */
  static double reach(double error) {
    return FAR * Math.sqrt(2) * error;
  }

  /** y = x within ±limit; what lies so far outside that no error brings it back carries none. */
  Estimate clip(Estimate x, double limit) {
    var result = new Estimate(x.rows(), x.columns());
    for (int r = 0; r < x.rows(); r++) {
      for (int c = 0; c < x.columns(); c++) {
        result.set(r, c, Math.clamp(x.value(r, c), -limit, limit), within(x, r, c, limit));
      }
    }
    return settle(result);
  }

  private static double within(Estimate x, int row, int column, double limit) {
    double error = x.error(row, column);
    return Math.abs(x.value(row, column)) - limit > FAR * error ? 0 : error;
  }

  /** x less the mean of its row. */
  Estimate centred(Estimate x) {
    int n = x.columns();
    var result = new Estimate(x.rows(), n);
    for (int r = 0; r < x.rows(); r++) {
      double sum = 0;
      double squares = 0;
      double carried = 0;
      for (int i = 0; i < n; i++) {
        sum += x.value(r, i);
        squares += x.value(r, i) * x.value(r, i);
        carried += x.error(r, i) * x.error(r, i);
      }
      double mean = sum / n;
      double meanError = Math.sqrt(carried + a * a * n * (squares + sum * sum)) / n;
      for (int i = 0; i < n; i++) {
        double y = x.value(r, i) - mean;
        result.set(r, i, y, norm2(x.error(r, i), norm2(meanError, u * mean, 0), u * y));
      }
    }
    return settle(result);
  }

  /** y = x Wᵀ. */
  Estimate linear(Estimate x, WeightMatrix matrix) {
    return settle(Product.of(this, x, matrix));
  }

  /** y = f (x / ‖x‖) · (w / ‖w‖) of each row w, f = min(exp(t), most); 0 where either is 0. */
  Estimate cosine(Estimate x, WeightMatrix matrix, WeightMatrix temperature, double most) {
    int n = x.columns();
    var inverse = new Estimate(x.rows(), n);
    Estimate unit = norm(x, WeightMatrix.ones(n), 0);
    for (int r = 0; r < x.rows(); r++) {
      for (int c = 0; c < n; c++) {
        boolean zero = Double.isNaN(unit.value(r, c));
        inverse.set(r, c, zero ? 0 : unit.value(r, c), zero ? 0 : unit.error(r, c));
      }
    }
    double[] t = new double[1];
    temperature.read(0, t);
    double factor = Math.exp(t[0]);
    double ofFactor = factor < most ? temperature.roundingOf(0, 0, t[0]) : 0;
    factor = Math.min(factor, most);
    double[] row = new double[n];
    double[] rounding = new double[n];
    var result = new Estimate(x.rows(), matrix.rows());
    for (int e = 0; e < matrix.rows(); e++) {
      matrix.read(e, row);
      double squares = 0;
      for (int c = 0; c < n; c++) {
        rounding[c] = matrix.roundingOf(e, c, row[c]);
        squares += row[c] * row[c];
      }
      double scale = squares == 0 ? 0 : factor / Math.sqrt(squares * n);
      for (int r = 0; r < x.rows(); r++) {
        dot(inverse, r, 0, row, rounding, result, e);
        double y = scale * result.value(r, e);
        double own = norm2(FUNCTION_ROUNDINGS * u * y, ofFactor * y, 0);
        result.set(r, e, y, norm2(scale * result.error(r, e), own, 0));
      }
    }
    return settle(result);
  }

  /** One element of a product: a row of x, from a column on, times w. */
  void dot(Estimate x, int row, int from, double[] w, double[] rounding, Estimate y, int column) {
    double sum = 0;
    double squares = 0;
    double carried = 0;
    for (int i = 0; i < w.length; i++) {
      double term = w[i] * x.value(row, from + i);
      double error = w[i] * x.error(row, from + i);
      double rounded = rounding[i] * x.value(row, from + i);
      sum += term;
      squares += term * term;
      carried += error * error + rounded * rounded;
    }
    y.set(row, column, sum, errorOfSum(w.length, sum, squares, carried));
  }

  /**
   * The error of a sum of n products.
   *
   * @param squares of the products, summed
   * @param carried squares of what each is off, summed
   */
  double errorOfSum(int n, double sum, double squares, double carried) {
    double own = a * a * n * (squares + sum * sum) + storing() * sum * sum;
    return Math.sqrt(carried + own);
  }

  /** y = weight · x / sqrt(mean(x²) + epsilon). */
  Estimate norm(Estimate x, WeightMatrix weight, double epsilon) {
    int n = x.columns();
    double[] w = new double[n];
    weight.read(0, w);
    var result = new Estimate(x.rows(), n);
    for (int r = 0; r < x.rows(); r++) {
      double squares = 0;
      double carried = 0;
      for (int i = 0; i < n; i++) {
        double v = x.value(r, i);
        squares += v * v;
        carried += v * v * x.error(r, i) * x.error(r, i);
      }
      double mean = squares / n + epsilon;
      double root = Math.sqrt(mean);
      for (int i = 0; i < n; i++) {
        double v = x.value(r, i);
        double y = w[i] * v / root;
        // dy/y = dx_i/x_i − Σ x_j dx_j / (n mean), of which x_i itself is one.
        double itself = (1 - v * v / (n * mean)) * w[i] * x.error(r, i) / root;
        double own = v * x.error(r, i);
        double others = y * Math.sqrt(Math.max(0, carried - own * own)) / (n * mean);
        double rounded = weight.roundingOf(0, i, w[i]) * v / root;
        // The sum of squares itself is rounded n times.
        double rounding = norm2(a * y * Math.sqrt(n), FUNCTION_ROUNDINGS * u * y, 0);
        result.set(r, i, y, norm2(norm2(itself, others, 0), rounded, rounding));
      }
    }
    return settle(result);
  }

  /** p_i = exp(x_i) / Σ exp(x_j) of one row; dp_i = p_i (dx_i − Σ p_j dx_j). */
  Estimate softmax(Estimate x, int row) {
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
      double own = x.error(row, i);
      double others = Math.sqrt(Math.max(0, common - p * own * p * own));
      double carried = norm2((1 - p) * own, others, 0);
      // The argument x_i − max is rounded, and exp turns that into a relative error.
      double argument = a * (max - x.value(row, i));
      double rounding = norm2(argument, a * Math.sqrt(n), FUNCTION_ROUNDINGS * u);
      result.set(0, i, p, p * norm2(carried, rounding, 0));
    }
    return settle(result);
  }

  /**
   * Where choices of an expert queue by values, rounding may decide which of two comes first, of
   * which one is dropped and the other is not.
   *
   * @param doubtful takes the tokens of both
   */
  void parts(Estimate values, Estimate chosen, Estimate dropped, BitSet doubtful) {
    for (int place = 0; place < chosen.columns(); place++) {
      for (int t = 0; t < chosen.rows(); t++) {
        for (int s = 0; s < chosen.rows() && dropped.value(t, place) == 1; s++) {
          boolean apart = chosen.value(s, place) != chosen.value(t, place);
          if (apart || dropped.value(s, place) == 1) {
            continue;
          }
          int first = (int) chosen.value(t, 0);
          int other = (int) chosen.value(s, 0);
          double error = norm2(values.error(t, first), values.error(s, other), 0);
          if (Math.abs(values.value(t, first) - values.value(s, other)) <= reach(error)) {
            doubtful.set(t);
            doubtful.set(s);
          }
        }
      }
    }
  }

  /**
   * What one of a row's chosen weighs among those near it. Where rounding may decide whether
   * another is near, or which of two chosen ones is before, the weight may be off by what that
   * changes.
   *
   * @return whether rounding may decide so
   */
  boolean share(
      Routing.Mixer mixer, Estimate x, Estimate chosen, int row, int place, Estimate result) {
    int own = (int) chosen.value(row, place);
    double v = x.value(row, own);
    var others = new BitSet();
    var before = new BitSet();
    for (int i = 0; i < chosen.columns(); i++) {
      int other = (int) chosen.value(row, i);
      others.set(other, i != place);
      before.set(other, x.value(row, other) > v || (x.value(row, other) == v && i < place));
    }
    double total = 0;
    double carried = 0;
    double doubtful = 0;
    for (int j = 0; j < x.columns(); j++) {
      double other = x.value(row, j);
      double p = Math.exp(other - v);
      if (!before.get(j) && mixer.isNear(v, other)) {
        total += p;
        carried += j == own ? 0 : p * p * x.error(row, j) * x.error(row, j);
      }
      double size = Math.max(Math.abs(other), v);
      double gap = Math.abs(v - other - mixer.tolerance() * size);
      double error = norm2(x.error(row, own), x.error(row, j), FUNCTION_ROUNDINGS * u * size);
      boolean mayPass = others.get(j) && Math.abs(v - other) <= reach(error);
      if (j != own && (mayPass || gap <= reach(error))) {
        doubtful += p;
      }
    }
    double w = 1 / total;
    double drawn = norm2((1 - w) * w * x.error(row, own), w * w * Math.sqrt(carried), 0);
    // With them, or without them, at most the whole.
    double changed = doubtful == 0 ? 0 : Math.max(w - 1 / (total + doubtful), 1 - w);
    double rounding = FUNCTION_ROUNDINGS * u * w;
    result.set(row, place, w, norm2(drawn, noise == null ? changed : 0, rounding));
    return doubtful > 0;
  }

  /** s_i = 1 / (1 + exp(−x_i)) of one row; ds = s (1 − s) dx. */
  Estimate sigmoid(Estimate x, int row) {
    var result = new Estimate(1, x.columns());
    for (int i = 0; i < x.columns(); i++) {
      double v = x.value(row, i);
      double s = 1 / (1 + Math.exp(-v));
      double slope = s * (1 - s);
      double rounding = FUNCTION_ROUNDINGS * u * s + a * Math.abs(v) * slope;
      result.set(0, i, s, norm2(slope * x.error(row, i), rounding, 0));
    }
    return settle(result);
  }

  /** ln(1 + eˣ). */
  static double softplus(double x) {
    return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  }

  /** s_i = ln(1 + exp(x_i)) of one row; ds = σ(x) dx. */
  private Estimate softplus(Estimate x, int row) {
    var result = new Estimate(1, x.columns());
    for (int i = 0; i < x.columns(); i++) {
      double v = x.value(row, i);
      double s = softplus(v);
      double slope = 1 / (1 + Math.exp(-v));
      // The sum is rounded at one before its logarithm is taken.
      double rounding = FUNCTION_ROUNDINGS * u * s + a;
      result.set(0, i, s, norm2(slope * x.error(row, i), rounding, 0));
    }
    return settle(result);
  }

  /** s_i = sqrt(ln(1 + exp(x_i))) of one row; ds = σ(x) / (2 s) dx. */
  Estimate sqrtSoftplus(Estimate x, int row) {
    var result = new Estimate(1, x.columns());
    for (int i = 0; i < x.columns(); i++) {
      double v = x.value(row, i);
      double s = Math.sqrt(softplus(v));
      double slope = 1 / ((1 + Math.exp(-v)) * 2 * s);
      double rounding = FUNCTION_ROUNDINGS * u * s;
      result.set(0, i, s, norm2(slope * x.error(row, i), rounding, 0));
    }
    return settle(result);
  }

  /** f(g) · u. */
  Estimate gated(FeedForward.Activation f, Estimate gate, Estimate up) {
    var result = new Estimate(gate.rows(), gate.columns());
    for (int r = 0; r < gate.rows(); r++) {
      for (int c = 0; c < gate.columns(); c++) {
        Activated g = Activated.of(f, gate.value(r, c), gate.error(r, c), this);
        double y = g.value() * up.value(r, c);
        double ofGate = g.slope() * gate.error(r, c) * up.value(r, c);
        double rounding = g.rounding() * up.value(r, c);
        result.set(r, c, y, norm2(ofGate, g.value() * up.error(r, c), rounding));
      }
    }
    return settle(result);
  }

  /**
   * g σ(s g) (v + o) with g = min(gate, limit), v = up within ±limit ({@link FeedForward.Clamp}).
   */
  Estimate gated(FeedForward.Clamp clamp, Estimate gate, Estimate up) {
    var result = new Estimate(gate.rows(), gate.columns());
    double s = clamp.sharpness();
    for (int r = 0; r < gate.rows(); r++) {
      for (int c = 0; c < gate.columns(); c++) {
        double g = Math.min(gate.value(r, c), clamp.limit());
        boolean cut = gate.value(r, c) - clamp.limit() > FAR * gate.error(r, c);
        double v = Math.clamp(up.value(r, c), -clamp.limit(), clamp.limit()) + clamp.offset();
        double sigmoid = 1 / (1 + Math.exp(-s * g));
        double slope = cut ? 0 : sigmoid * (1 + s * g * (1 - sigmoid));
        double smooth = g * sigmoid;
        double y = smooth * v;
        double rounding = (FUNCTION_ROUNDINGS * u + 2 * Math.abs(s * g) * a) * y;
        double upError = norm2(within(up, r, c, clamp.limit()), u * v, 0);
        result.set(r, c, y, norm2(slope * gate.error(r, c) * v, smooth * upError, rounding));
      }
    }
    return settle(result);
  }

  /** y = f(x). */
  Estimate activated(FeedForward.Activation f, Estimate x) {
    return gated(f, x, Estimate.ones(x.rows(), x.columns()));
  }

  /** y = f(b) x, a number of b for each so many neighbouring ones of x. */
  Estimate switched(Attention.Opening f, Estimate x, Estimate by) {
    var result = new Estimate(x.rows(), x.columns());
    int size = x.columns() / by.columns();
    for (int r = 0; r < x.rows(); r++) {
      Estimate s =
          switch (f) {
            case SIGMOID -> sigmoid(by, r);
            case SOFTPLUS -> softplus(by, r);
          };
      for (int c = 0; c < x.columns(); c++) {
        int i = c / size;
        double y = s.value(0, i) * x.value(r, c);
        double carried = norm2(s.value(0, i) * x.error(r, c), s.error(0, i) * x.value(r, c), 0);
        result.set(r, c, y, norm2(carried, u * y, 0));
      }
    }
    return settle(result);
  }

  static double norm2(double a, double b, double c) {
    return Math.sqrt(a * a + b * b + c * c);
  }
}
