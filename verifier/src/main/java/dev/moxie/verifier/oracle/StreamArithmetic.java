package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Architecture;

/** How residual streams are read, written and mixed; {@link Exact} says what for. */
record StreamArithmetic(Arithmetic arithmetic) {
  /** The error of each number moves the others alone, as far as it does. */
  Estimate connect(Architecture.Streams s, Estimate m, WeightMatrix factors, WeightMatrix shift) {
    double[] f = new double[factors.columns()];
    double[] b = new double[shift.columns()];
    factors.read(0, f);
    shift.read(0, b);
    var result = new Estimate(m.rows(), b.length);
    double[] raw = new double[b.length];
    double[] off = new double[b.length];
    for (int t = 0; t < m.rows(); t++) {
      for (int c = 0; c < b.length; c++) {
        double factor = f[f.length == 1 ? 0 : Math.min(2, c / s.count())];
        raw[c] = factor * m.value(t, c) + b[c];
        double rounding = arithmetic.u() * norm2(factor * m.value(t, c), raw[c], 0);
        off[c] = norm2(factor * m.error(t, c), rounding, 0);
      }
      double[] y = weights(s, raw);
      double[] squares = new double[y.length];
      for (int c = 0; c < raw.length; c++) {
        double was = raw[c];
        raw[c] += off[c];
        double[] moved = weights(s, raw);
        raw[c] = was;
        for (int i = 0; i < y.length; i++) {
          squares[i] += (moved[i] - y[i]) * (moved[i] - y[i]);
        }
      }
      for (int i = 0; i < y.length; i++) {
        double own = Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u() * y[i];
        result.set(t, i, y[i], norm2(Math.sqrt(squares[i]), own, 0));
      }
    }
    return arithmetic.settle(result);
  }

  private static double[] weights(Architecture.Streams s, double[] raw) {
    int n = s.count();
    double[] y = new double[raw.length];
    for (int i = 0; i < n; i++) {
      y[i] = sigmoid(raw[i]) + s.epsilon();
    }
    if (raw.length == n) {
      return y;
    }
    for (int i = n; i < 2 * n; i++) {
      y[i] = 2 * sigmoid(raw[i]);
    }
    for (int row = 2 * n; row < y.length; row += n) {
      double most = Double.NEGATIVE_INFINITY;
      for (int i = row; i < row + n; i++) {
        most = Math.max(most, raw[i]);
      }
      for (int i = row; i < row + n; i++) {
        y[i] = Math.exp(raw[i] - most);
      }
      divide(y, row, 1, n, 0);
      for (int i = row; i < row + n; i++) {
        y[i] += s.epsilon();
      }
    }
    for (int iteration = 0; iteration < s.iterations(); iteration++) {
      for (int row = 2 * n; iteration > 0 && row < y.length; row += n) {
        divide(y, row, 1, n, s.epsilon());
      }
      for (int column = 2 * n; column < 3 * n; column++) {
        divide(y, column, n, n, s.epsilon());
      }
    }
    return y;
  }

  private static void divide(double[] y, int first, int step, int count, double epsilon) {
    double sum = epsilon;
    for (int i = 0; i < count; i++) {
      sum += y[first + i * step];
    }
    for (int i = 0; i < count; i++) {
      y[first + i * step] /= sum;
    }
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  Estimate gather(Architecture.Streams s, Estimate weights, Estimate h) {
    int width = h.columns() / s.count();
    var result = new Estimate(h.rows(), width);
    for (int t = 0; t < h.rows(); t++) {
      for (int c = 0; c < width; c++) {
        double sum = 0;
        double squares = 0;
        double carried = 0;
        for (int i = 0; i < s.count(); i++) {
          double p = weights.value(t, i);
          double x = h.value(t, i * width + c);
          double off = norm2(p * h.error(t, i * width + c), x * weights.error(t, i), 0);
          sum += p * x;
          squares += p * x * p * x;
          carried += off * off;
        }
        result.set(t, c, sum, arithmetic.errorOfSum(s.count(), sum, squares, carried));
      }
    }
    return arithmetic.settle(result);
  }

  Estimate spread(Architecture.Streams s, Estimate weights, Estimate h, Estimate y) {
    int n = s.count();
    int width = y.columns();
    var result = new Estimate(h.rows(), h.columns());
    for (int t = 0; t < h.rows(); t++) {
      for (int k = 0; k < n; k++) {
        for (int c = 0; c < width; c++) {
          double q = weights.value(t, n + k);
          double sum = q * y.value(t, c);
          double squares = sum * sum;
          double off = norm2(q * y.error(t, c), y.value(t, c) * weights.error(t, n + k), 0);
          double carried = off * off;
          for (int j = 0; j < n; j++) {
            int at = 2 * n + j * n + k;
            double w = weights.value(t, at);
            double x = h.value(t, j * width + c);
            double each = norm2(w * h.error(t, j * width + c), x * weights.error(t, at), 0);
            sum += w * x;
            squares += w * x * w * x;
            carried += each * each;
          }
          double error = arithmetic.errorOfSum(n + 1, sum, squares, carried);
          result.set(t, k * width + c, sum, error);
        }
      }
    }
    return arithmetic.settle(result);
  }
}
