package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Ops;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

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

  /** y = max(ln(1 + eˣ), least); dy = σ(x) dx. */
  Estimate softplus(Estimate x, double least) {
    var result = new Estimate(x.rows(), x.columns());
    for (int t = 0; t < x.rows(); t++) {
      for (int c = 0; c < x.columns(); c++) {
        double v = x.value(t, c);
        double y = Arithmetic.softplus(v);
        double carried = x.error(t, c) / (1 + Math.exp(-v));
        // Some add 1 to the exponential before its logarithm, which rounds what is far below 1.
        double rounding = norm2(Arithmetic.FUNCTION_ROUNDINGS * y, 1, 0) * arithmetic.a();
        double error = norm2(carried, rounding, arithmetic.u() * y);
        boolean held = least - y > Arithmetic.FAR * error;
        result.set(t, c, Math.max(y, least), held ? arithmetic.u() * least : error);
      }
    }
    return arithmetic.settle(result);
  }

  /** y = exp(−r s) with r = exp(rate); dy = −y (r ds + r s drate). */
  Estimate decay(Estimate steps, WeightMatrix rates) {
    double[] rate = new double[rates.columns()];
    int all = rates.rows() * rate.length;
    var result = new Estimate(steps.rows(), Math.max(all, steps.columns()));
    int ofStep = result.columns() / steps.columns();
    int ofRate = result.columns() / all;
    for (int row = 0; row < rates.rows(); row++) {
      rates.read(row, rate);
      for (int i = 0; i < rate.length; i++) {
        double rounded = rates.roundingOf(row, i, rate[i]);
        int first = (row * rate.length + i) * ofRate;
        for (int to = first; to < first + ofRate; to++) {
          decay(steps, to / ofStep, Math.exp(rate[i]), rounded, result, to);
        }
      }
    }
    return arithmetic.settle(result);
  }

  private void decay(Estimate steps, int from, double r, double rounded, Estimate result, int to) {
    for (int t = 0; t < steps.rows(); t++) {
      double exponent = r * steps.value(t, from);
      double carried = norm2(r * steps.error(t, from), exponent * rounded, 0);
      // The rate's exponential is rounded, the exponent, its exponential, and the result.
      double inside = Arithmetic.FUNCTION_ROUNDINGS * arithmetic.a() * exponent;
      double rounding = norm2(inside, Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u(), carried);
      double y = Math.exp(-exponent);
      // What is far smaller than any number that keeps its digits may become nothing.
      result.set(t, to, y, norm2(y * rounding, Float.MIN_NORMAL, 0));
    }
  }

  /** What heads keep, head by head. */
  Estimate recur(
      Ops.States s, Estimate q, Estimate k, Estimate v, Estimate d, @Nullable Estimate b) {
    var y = new Estimate(v.rows(), v.columns());
    int decays = s.byRow() ? s.keySize() : 1;
    IntStream.range(0, s.valueHeads())
        .parallel()
        .forEach(
            head -> {
              int shared = head * s.keyHeads() / s.valueHeads() * s.keySize();
              new Head(
                      q.part(shared, s.keySize()),
                      k.part(shared, s.keySize()),
                      v.part(head * s.valueSize(), s.valueSize()),
                      d.part(head * decays, decays),
                      b == null ? null : b.part(head, 1))
                  .compute(y, head * s.valueSize());
            });
    return arithmetic.settle(y);
  }

  /**
   * One head: P = d S, S′ = P + k wᵀ, y = S′ᵀ q, by the delta rule with w = b r, r = v − Pᵀk, else
   * with w = r = v. Every y is linear in each state before it: with λ its derivative by S′, whose
   * columns are alike, that by P is μ = λ − b (λ·k) k, or λ itself, and that by S is d μ. So each
   * error of an input, and each rounding, is followed to each y.
   */
  private final class Head {
    private final Estimate q;
    private final Estimate k;
    private final Estimate v;
    private final Estimate d;
    private final int keySize;
    private final int size;

    /** Whether what is written depends on what is there. */
    private final boolean corrects;

    /** b of each token, and its error. */
    private final Estimate part;

    /** S before each token and, last, after all of them, [T + 1, keySize, size]. */
    private final double[][] states;

    /** r of each token, and the square of its rounding. */
    private final double[][] rest;

    private final double[][] restRounding;

    /** Of each token and decay. */
    private final double[][] decayError;

    Head(Estimate q, Estimate k, Estimate v, Estimate d, @Nullable Estimate b) {
      this.q = q;
      this.k = k;
      this.v = v;
      this.d = d;
      keySize = k.columns();
      size = v.columns();
      corrects = b != null;
      int tokens = v.rows();
      states = new double[tokens + 1][];
      states[0] = new double[keySize * size];
      rest = new double[tokens][size];
      restRounding = new double[tokens][size];
      decayError = new double[tokens][d.columns()];
      part = b == null ? Estimate.ones(tokens, 1) : new Estimate(tokens, 1);
      double[] logarithms = new double[d.columns()];
      for (int t = 0; t < tokens; t++) {
        if (b != null) {
          part.copyRow(arithmetic.sigmoid(b, t), 0, t);
        }
        for (int i = 0; i < logarithms.length; i++) {
          double fading = d.value(t, i);
          double before = t % CHUNK == 0 ? 0 : logarithms[i];
          logarithms[i] = before + Math.log(Math.max(fading, Float.MIN_VALUE));
          // A product of decays may be computed as the exponential of a difference of sums.
          decayError[t][i] = norm2(d.error(t, i), arithmetic.a() * logarithms[i] * fading, 0);
        }
        update(t);
      }
    }

    private double fading(int t, int row) {
      return d.value(t, d.columns() == 1 ? 0 : row);
    }

    private void update(int t) {
      double a = arithmetic.a();
      double[] before = states[t];
      double[] after = new double[before.length];
      double[] r = rest[t];
      double[] squares = restRounding[t];
      for (int i = 0; corrects && i < keySize; i++) {
        double faded = k.value(t, i) * fading(t, i);
        for (int j = 0; j < size; j++) {
          double term = faded * before[i * size + j];
          r[j] -= term;
          squares[j] += term * term;
        }
      }
      for (int j = 0; j < size; j++) {
        double read = r[j];
        r[j] += v.value(t, j);
        squares[j] =
            corrects ? a * a * (keySize * (squares[j] + read * read) + 3 * r[j] * r[j]) : 0;
      }
      for (int i = 0; i < keySize; i++) {
        double fading = fading(t, i);
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
      double write = part.value(s, 0);
      double[] r = rest[s];
      double kappa = 0;
      for (int i = 0; i < keySize; i++) {
        kappa += lambda[i] * k.value(s, i);
      }
      double back = corrects ? kappa : 0;
      double left = 0;
      for (int i = 0; i < keySize; i++) {
        double fading = fading(s, i);
        double keyError = Math.pow(write * k.error(s, i), 2);
        double rounding = Math.pow(a * lambda[i], 2);
        double mu = lambda[i] - write * back * k.value(s, i);
        for (int j = 0; j < size; j++) {
          double faded = fading * before[i * size + j];
          double now = after[i * size + j];
          double byKey = lambda[i] * r[j] - back * faded;
          variance[j] += keyError * byKey * byKey + rounding * (faded * faded + now * now);
          byDecay[j] += mu * before[i * size + j];
        }
        if (d.columns() > 1) {
          drain(byDecay, decayError[s][i], variance);
        }
        lambda[i] = fading * mu;
        left += lambda[i] * lambda[i];
      }
      if (d.columns() == 1) {
        drain(byDecay, decayError[s][0], variance);
      }
      for (int j = 0; j < size; j++) {
        double byValue = write * kappa;
        double byPart = kappa * r[j] * part.error(s, 0);
        double byRest = byValue * byValue * (restRounding[s][j] + Math.pow(v.error(s, j), 2));
        variance[j] += byRest + byPart * byPart;
      }
      return left;
    }

    /** Adds what the error of a decay makes of y, whose derivatives by it begin anew. */
    private void drain(double[] byDecay, double error, double[] variance) {
      for (int j = 0; j < size; j++) {
        variance[j] += Math.pow(byDecay[j] * error, 2);
        byDecay[j] = 0;
      }
    }
  }
}
