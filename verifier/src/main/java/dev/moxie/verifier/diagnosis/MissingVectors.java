package dev.moxie.verifier.diagnosis;

import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Forced.Stage;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Values of vectors that a package lacks, from what the reference recorded: those that bring a step
 * nearest to it, by the method of Levenberg and Marquardt (Marquardt, 1963) with differences for
 * derivatives. They say something where the step has many more numbers than the vectors.
 */
final class MissingVectors {
  /** Numbers of the step for each unknown. */
  private static final int LEAST_EACH = 4;

  /** Derivatives are held in memory. */
  private static final long MOST_DERIVATIVES = 1 << 24;

  private static final int ROUNDS = 20;
  private static final double STEP = 1e-6;

  /** Caution at first, and where no step of any caution helps. */
  private static final double RIDGE = 1e-3;

  private static final double MOST_RIDGE = 1e3;

  /**
   * By what each of the first rounds must shrink the difference, or vectors are not what lacks: of
   * those that were, none of the planted defects' took more than 0.13, and others seldom less.
   */
  private static final double FIRST_GAIN = 0.5;

  private static final int FIRST_ROUNDS = 2;

  /** By what a later one must; after two that do not, nothing more is to be gained. */
  private static final double LEAST_GAIN = 0.9;

  private final Evidence evidence;
  private final int layer;
  private final Stage stage;
  private final Mistakes.Missing missing;

  MissingVectors(Evidence evidence, int layer, Stage stage, Mistakes.Missing missing) {
    this.evidence = evidence;
    this.layer = layer;
    this.stage = stage;
    this.missing = missing;
  }

  /** The model with the vectors found; empty where the step does not tell them. */
  Optional<Suspect> fit() {
    int unknowns = missing.start().values().stream().mapToInt(v -> v.length).sum();
    double[] values = new double[unknowns];
    int at = 0;
    for (double[] vector : missing.start().values()) {
      System.arraycopy(vector, 0, values, at, vector.length);
      at += vector.length;
    }
    Estimate target = evidence.layer(layer).recorded(stage);
    long numbers = (long) target.rows() * target.columns();
    if (numbers < (long) LEAST_EACH * unknowns || numbers * unknowns > MOST_DERIVATIVES) {
      return Optional.empty();
    }
    double[] rest = difference(values);
    double ridge = RIDGE;
    int idle = 0;
    for (int round = 0; round < ROUNDS && idle < 2 && ridge < MOST_RIDGE; round++) {
      LeastSquares problem = linear(values, rest);
      double before = squares(rest);
      double gain = 1;
      for (; gain == 1 && ridge < MOST_RIDGE; ridge *= 10) {
        double[] moved = values.clone();
        double[] by = problem.solve(ridge);
        for (int i = 0; i < unknowns; i++) {
          moved[i] += by[i];
        }
        double[] next = difference(moved);
        if (squares(next) < before) {
          gain = squares(next) / before;
          values = moved;
          rest = next;
          ridge /= 1000;
        }
      }
      if (round < FIRST_ROUNDS && gain > FIRST_GAIN) {
        return Optional.empty();
      }
      idle = gain < LEAST_GAIN ? 0 : idle + 1;
    }
    return Optional.of(with(values));
  }

  /** By what to move, were the step linear. */
  private LeastSquares linear(double[] values, double[] rest) {
    List<double[]> derivatives = new ArrayList<>();
    for (int i = 0; i < values.length; i++) {
      double[] moved = values.clone();
      moved[i] += STEP;
      double[] derivative = difference(moved);
      for (int n = 0; n < derivative.length; n++) {
        derivative[n] = (derivative[n] - rest[n]) / STEP;
      }
      derivatives.add(derivative);
    }
    var problem = new LeastSquares(values.length);
    for (int i = 0; i < values.length; i++) {
      problem.addTarget(i, -LeastSquares.dot(derivatives.get(i), rest));
      for (int j = 0; j <= i; j++) {
        double product = LeastSquares.dot(derivatives.get(i), derivatives.get(j));
        problem.add(i, j, product);
        if (i != j) {
          problem.add(j, i, product);
        }
      }
    }
    return problem;
  }

  private double[] difference(double[] values) {
    return Difference.values(evidence.layer(layer, with(values)), stage);
  }

  private Suspect with(double[] values) {
    Map<String, double[]> vectors = new LinkedHashMap<>();
    int at = 0;
    for (Map.Entry<String, double[]> entry : missing.start().entrySet()) {
      double[] vector = new double[entry.getValue().length];
      System.arraycopy(values, at, vector, 0, vector.length);
      vectors.put(entry.getKey(), vector);
      at += vector.length;
    }
    return new Suspect(missing.cause(), missing.right(), evidence.weights().with(vectors));
  }

  private static double squares(double[] values) {
    return LeastSquares.dot(values, values);
  }
}
