package dev.moxie.verifier.oracle;

import dev.moxie.format.model.FeedForward;

/**
 * A function of a number that gates another.
 *
 * @param value f(x)
 * @param slope f′(x)
 * @param rounding the standard deviation of what an implementation rounds off the value
 */
record Activated(double value, double slope, double rounding) {
  private static final double GELU_SLOPE = Math.sqrt(2 / Math.PI);
  private static final double GELU_CUBE = 0.044715;

  /**
   * One of them.
   *
   * @param error of x, which may take it over a bend
   */
  static Activated of(FeedForward.Activation f, double x, double error, Arithmetic arithmetic) {
    return switch (f) {
      case SILU -> silu(x, arithmetic);
      case GELU_TANH -> gelu(x, arithmetic);
      case RELU -> {
        double value = Math.max(0, x);
        // The product that it gates is rounded all the same.
        yield new Activated(value, -x > Arithmetic.FAR * error ? 0 : 1, arithmetic.u() * value);
      }
      case RELU_SQUARED -> {
        double positive = Math.max(0, x);
        double value = positive * positive;
        // Nowhere within the error is it steeper on average: next to the bend the slope at x is 0.
        double slope = positive + Math.max(0, x + Arithmetic.FAR * error);
        yield new Activated(value, slope, arithmetic.u() * value);
      }
    };
  }

  /** x σ(x), and σ(x) (1 + x (1 − σ(x))). */
  private static Activated silu(double x, Arithmetic arithmetic) {
    double sigmoid = 1 / (1 + Math.exp(-x));
    double value = x * sigmoid;
    // Inside σ the exponential's argument is rounded: a relative error of a |x| at most.
    double relative = roundings(arithmetic.u()) + Math.abs(x) * arithmetic.a();
    return new Activated(value, sigmoid * (1 + x * (1 - sigmoid)), relative * value);
  }

  /** x/2 (1 + t), t = tanh z(x), and (1 + t)/2 + x/2 (1 − t²) z′(x). */
  private static Activated gelu(double x, Arithmetic arithmetic) {
    double z = GELU_SLOPE * x * (1 + GELU_CUBE * x * x);
    double t = Math.tanh(z);
    double half = x / 2;
    double bent = half * (1 - t * t);
    double slope = (1 + t) / 2 + bent * GELU_SLOPE * (1 + 3 * GELU_CUBE * x * x);
    double value = half * (1 + t);
    // Where t is near −1, what is rounded off it is large beside 1 + t; z is rounded as well.
    double inside = Arithmetic.norm2(half * t, bent * z, 0) * roundings(arithmetic.a());
    return new Activated(
        value, slope, Arithmetic.norm2(inside, roundings(arithmetic.u()) * value, 0));
  }

  private static double roundings(double u) {
    return Arithmetic.FUNCTION_ROUNDINGS * u;
  }
}
