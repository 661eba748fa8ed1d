package dev.moxie.runtime.plain;

import dev.moxie.format.model.FeedForward;
import java.util.function.IntToDoubleFunction;
import org.jspecify.annotations.Nullable;

/** Functions of activations, computed in double precision and stored in float32. */
final class Functions {
  private Functions() {}

  /** An activation of the same shape, number by number. */
  static Activation each(Activation like, IntToDoubleFunction value) {
    var y = new Activation(like.rows(), like.columns());
    for (int i = 0; i < y.values().length; i++) {
      y.values()[i] = (float) value.applyAsDouble(i);
    }
    return y;
  }

  /** Every row times a factor of its own. */
  static Activation scaled(Activation x, IntToDoubleFunction factor) {
    var y = new Activation(x.rows(), x.columns());
    for (int t = 0; t < x.rows(); t++) {
      double f = factor.applyAsDouble(t);
      for (int c = 0; c < x.columns(); c++) {
        y.set(t, c, f * x.at(t, c));
      }
    }
    return y;
  }

  static double sigmoid(double x) {
    return 1 / (1 + StrictMath.exp(-x));
  }

  static double silu(double x) {
    return x * sigmoid(x);
  }

  static double clamped(FeedForward.Clamp clamp, double gate, double up) {
    double g = Math.min(gate, clamp.limit());
    double u = Math.clamp(up, -clamp.limit(), clamp.limit());
    return g * sigmoid(clamp.sharpness() * g) * (u + clamp.offset());
  }

  static double mean(float[] x, int from, int count) {
    double sum = 0;
    for (int i = from; i < from + count; i++) {
      sum += x[i];
    }
    return sum / count;
  }

  /**
   * @param centre what is subtracted of the {@code size} numbers from one on
   */
  static Activation norms(
      Activation x,
      IntToDoubleFunction centre,
      float @Nullable [] weight,
      double epsilon,
      int size) {
    var y = new Activation(x.rows(), x.columns());
    for (int from = 0; from < y.values().length; from += size) {
      double middle = centre.applyAsDouble(from);
      double squares = 0;
      for (int i = 0; i < size; i++) {
        double away = x.values()[from + i] - middle;
        squares += away * away;
      }
      double root = Math.sqrt(squares / size + epsilon);
      for (int i = 0; i < size; i++) {
        double normed = (x.values()[from + i] - middle) / root;
        y.values()[from + i] = (float) (weight == null ? normed : weight[i] * normed);
      }
    }
    return y;
  }

  static Activation softmax(Activation x) {
    var y = new Activation(x.rows(), x.columns());
    double[] shares = new double[x.columns()];
    for (int t = 0; t < x.rows(); t++) {
      double max = Double.NEGATIVE_INFINITY;
      for (int c = 0; c < shares.length; c++) {
        max = Math.max(max, x.at(t, c));
      }
      double total = 0;
      for (int c = 0; c < shares.length; c++) {
        shares[c] = StrictMath.exp(x.at(t, c) - max);
        total += shares[c];
      }
      for (int c = 0; c < shares.length; c++) {
        y.set(t, c, shares[c] / total);
      }
    }
    return y;
  }
}
