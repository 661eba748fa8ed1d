package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import java.util.stream.IntStream;

/** The operations of layers that keep a state of what came before; {@link Exact} says what for. */
record StateArithmetic(Arithmetic arithmetic) {
  /** Tokens over which implementations add up logarithms of decays. */
  private static final int CHUNK = 64;

  /** The part of a query's square below which what it still meets of a state moves no digit. */
  private static final double GONE = 0x1p-80;

  /** y_t = Σ_j w_j x_{t − n + 1 + j}, channel by channel. */
  Estimate convolve(Estimate x, WeightMatrix taps) {
    int n = taps.columns();
    var result = new Estimate(x.rows(), x.columns());
    double[] w = new double[n];
    double[] rounding = new double[n];
    for (int c = 0; c < x.columns(); c++) {
      taps.read(c, w);
      taps.roundings(c, w, rounding);
      for (int t = 0; t < x.rows(); t++) {
        double sum = 0;
        double squares = 0;
        double carried = 0;
        for (int j = Math.max(0, n - 1 - t); j < n; j++) {
          int from = t - n + 1 + j;
          double term = w[j] * x.value(from, c);
          sum += term;
          squares += term * term;
          carried += Math.pow(w[j] * x.error(from, c), 2);
          carried += Math.pow(rounding[j] * x.value(from, c), 2);
        }
        result.set(t, c, sum, arithmetic.errorOfSum(n, sum, squares, carried));
      }
    }
    return arithmetic.settle(result);
  }

  /** y = exp(−r softplus(x)) with r = exp(rate); dy = −y (r σ(x) dx + r softplus(x) drate). */
  Estimate decay(Estimate x, WeightMatrix rates) {
    double[] rate = new double[x.columns()];
    rates.read(0, rate);
    var result = new Estimate(x.rows(), x.columns());
    for (int t = 0; t < x.rows(); t++) {
      for (int c = 0; c < rate.length; c++) {
        double v = x.value(t, c);
        double r = Math.exp(rate[c]);
        double softplus = Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));
        double y = Math.exp(-r * softplus);
        double slope = r / (1 + Math.exp(-v));
        double rounded = r * softplus * rates.roundingOf(0, c, rate[c]);
        // The exponent is rounded, its exponential, softplus and product, and so is the result.
        double inside = Arithmetic.FUNCTION_ROUNDINGS * arithmetic.a() * r * softplus;
        double rounding = norm2(inside, Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u(), rounded);
        result.set(t, c, y, y * norm2(slope * x.error(t, c), rounding, 0));
      }
    }
    return arithmetic.settle(result);
  }

  /** The gated delta rule, head by head. */
  Estimate delta(
      Attention.GatedDelta a, Estimate q, Estimate k, Estimate v, Estimate d, Estimate b) {
    var y = new Estimate(v.rows(), v.columns());
    IntStream.range(0, a.valueHeads())
        .parallel()
        .forEach(
            head -> {
              int shared = head * a.keyHeads() / a.valueHeads() * a.keySize();
              new Head(
                      q.part(shared, a.keySize()),
                      k.part(shared, a.keySize()),
                      v.part(head * a.valueSize(), a.valueSize()),
                      d.part(head, 1),
                      b.part(head, 1))
                  .compute(y, head * a.valueSize());
            });
    return arithmetic.settle(y);
  }

  /**
   * One head: P = d S, r = v − Pᵀk, S′ = P + b k rᵀ, y = S′ᵀ q. Every y is linear in each state
   * before it: with λ its derivative by S′, whose columns are alike, that by P is μ = λ − b (λ·k) k
   * and that by S is d μ. So each error of an input, and each rounding, is followed to each y.
   */
  private final class Head {
    private final Estimate q;
    private final Estimate k;
    private final Estimate v;
    private final Estimate d;
    private final int keySize;
    private final int size;

    /** σ(b) of each token, and its error. */
    private final Estimate part;

    /** S before each token and, last, after all of them, [T + 1, keySize, size]. */
    private final double[][] states;

    /** r of each token, and the square of its rounding. */
    private final double[][] rest;

    private final double[][] restRounding;
    private final double[] decayError;

    Head(Estimate q, Estimate k, Estimate v, Estimate d, Estimate b) {
      this.q = q;
      this.k = k;
      this.v = v;
      this.d = d;
      keySize = k.columns();
      size = v.columns();
      int tokens = v.rows();
      states = new double[tokens + 1][];
      states[0] = new double[keySize * size];
      rest = new double[tokens][size];
      restRounding = new double[tokens][size];
      decayError = new double[tokens];
      part = new Estimate(tokens, 1);
      double logarithms = 0;
      for (int t = 0; t < tokens; t++) {
        part.copyRow(arithmetic.sigmoid(b, t), 0, t);
        double fading = d.value(t, 0);
        logarithms =
            (t % CHUNK == 0 ? 0 : logarithms) + Math.log(Math.max(fading, Float.MIN_VALUE));
        // A product of decays may be computed as the exponential of a difference of sums.
        decayError[t] = norm2(d.error(t, 0), arithmetic.a() * logarithms * fading, 0);
        update(t);
      }
    }

    private void update(int t) {
      double a = arithmetic.a();
      double fading = d.value(t, 0);
      double[] before = states[t];
      double[] after = new double[before.length];
      double[] r = rest[t];
      double[] squares = restRounding[t];
      for (int i = 0; i < keySize; i++) {
        for (int j = 0; j < size; j++) {
          double term = k.value(t, i) * fading * before[i * size + j];
          r[j] -= term;
          squares[j] += term * term;
        }
      }
      for (int j = 0; j < size; j++) {
        double read = r[j];
        r[j] += v.value(t, j);
        squares[j] = a * a * (keySize * (squares[j] + read * read) + 3 * r[j] * r[j]);
      }
      for (int i = 0; i < keySize; i++) {
        double write = part.value(t, 0) * k.value(t, i);
        for (int j = 0; j < size; j++) {
          after[i * size + j] = fading * before[i * size + j] + write * r[j];
        }
      }
      states[t + 1] = after;
    }

    void compute(Estimate y, int column) {
      double[] lambda = new double[keySize];
      double[] variance = new double[size];
      double[] byDecay = new double[size];
      for (int t = 0; t < v.rows(); t++) {
        read(t, y, column, variance);
        double whole = 0;
        for (int i = 0; i < keySize; i++) {
          lambda[i] = q.value(t, i);
          whole += lambda[i] * lambda[i];
        }
        double left = whole;
        for (int s = t; s >= 0 && left > GONE * whole; s--) {
          left = follow(s, lambda, variance, byDecay);
        }
        for (int j = 0; j < size; j++) {
          y.set(t, column + j, y.value(t, column + j), Math.sqrt(variance[j]));
        }
      }
    }

    /** y of a token, and the error that reading it adds. */
    private void read(int t, Estimate y, int column, double[] variance) {
      double[] state = states[t + 1];
      for (int j = 0; j < size; j++) {
        double sum = 0;
        double squares = 0;
        double carried = 0;
        for (int i = 0; i < keySize; i++) {
          double term = q.value(t, i) * state[i * size + j];
          sum += term;
          squares += term * term;
          carried += Math.pow(q.error(t, i) * state[i * size + j], 2);
        }
        y.set(t, column + j, sum, 0);
        variance[j] = Math.pow(arithmetic.errorOfSum(keySize, sum, squares, carried), 2);
      }
    }

    /** Adds what a token before contributes; leaves the derivative by the state before that. */
    private double follow(int s, double[] lambda, double[] variance, double[] byDecay) {
      double a = arithmetic.a();
      double[] before = states[s];
      double[] after = states[s + 1];
      double fading = d.value(s, 0);
      double write = part.value(s, 0);
      double[] r = rest[s];
      double kappa = 0;
      for (int i = 0; i < keySize; i++) {
        kappa += lambda[i] * k.value(s, i);
      }
      double left = 0;
      Arrays.fill(byDecay, 0);
      for (int i = 0; i < keySize; i++) {
        double keyError = Math.pow(write * k.error(s, i), 2);
        double rounding = Math.pow(a * lambda[i], 2);
        double mu = lambda[i] - write * kappa * k.value(s, i);
        for (int j = 0; j < size; j++) {
          double faded = fading * before[i * size + j];
          double now = after[i * size + j];
          double byKey = lambda[i] * r[j] - kappa * faded;
          variance[j] += keyError * byKey * byKey + rounding * (faded * faded + now * now);
          byDecay[j] += mu * before[i * size + j];
        }
        lambda[i] = fading * mu;
        left += lambda[i] * lambda[i];
      }
      for (int j = 0; j < size; j++) {
        double byValue = write * kappa;
        double byPart = kappa * r[j] * part.error(s, 0);
        double byRest = byValue * byValue * (restRounding[s][j] + Math.pow(v.error(s, j), 2));
        variance[j] += byRest + byPart * byPart + Math.pow(byDecay[j] * decayError[s], 2);
      }
      return left;
    }
  }
}
