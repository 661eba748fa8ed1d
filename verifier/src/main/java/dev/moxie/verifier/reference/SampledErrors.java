package dev.moxie.verifier.reference;

import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * How far errors add up from the tokens on, by experiment. Propagation takes the errors of a
 * vector's elements for independent; where they have a cause in common, as in the few elements that
 * dominate a trained model's hidden states, they reach further than their sum in quadrature. Here
 * every rounding is drawn at random and carried through the whole pass, some times over (Parker,
 * "Monte Carlo Arithmetic: how to gamble with floating point and win", 2000), and the larger of
 * both deviations counts.
 */
final class SampledErrors {
  private static final int SAMPLES = 16;

  private SampledErrors() {}

  /**
   * The results of a pass with errors at least as large as sampled ones.
   *
   * @param layers each layer's output, from the tokens on
   * @param logits likewise
   * @param experts that the reference chose, by layer with experts
   * @return the layers' and, last, the logits
   */
  static List<Estimate> widen(
      Oracle oracle,
      long[] ids,
      List<Estimate> layers,
      Estimate logits,
      Map<Integer, List<int[]>> experts) {
    List<Estimate> exact = new ArrayList<>(layers);
    exact.add(logits);
    List<double[]> squares = new ArrayList<>();
    exact.forEach(estimate -> squares.add(new double[estimate.rows() * estimate.columns()]));
    for (int sample = 0; sample < SAMPLES; sample++) {
      Oracle noisy = oracle.sampled(new Random(sample));
      Estimate hidden = noisy.embed(ids);
      for (int layer = 0; layer < layers.size(); layer++) {
        hidden = noisy.layer(layer, hidden, experts.get(layer)).output();
        add(squares.get(layer), exact.get(layer), hidden);
      }
      add(squares.getLast(), logits, noisy.head(hidden));
    }
    List<Estimate> widened = new ArrayList<>();
    for (int i = 0; i < exact.size(); i++) {
      double[] errors = squares.get(i);
      for (int j = 0; j < errors.length; j++) {
        errors[j] = Math.sqrt(errors[j] / SAMPLES);
      }
      widened.add(exact.get(i).withErrorsAtLeast(errors));
    }
    return widened;
  }

  private static void add(double[] squares, Estimate exact, Estimate sample) {
    for (int i = 0; i < squares.length; i++) {
      int row = i / exact.columns();
      int column = i % exact.columns();
      double difference = sample.value(row, column) - exact.value(row, column);
      squares[i] += difference * difference;
    }
  }
}
