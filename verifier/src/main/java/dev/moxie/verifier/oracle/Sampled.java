package dev.moxie.verifier.oracle;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;

/**
 * How far errors add up from the tokens on, by experiment. Propagation takes the errors of a
 * vector's elements for independent; where they have a cause in common, as in the few elements that
 * dominate a trained model's hidden states, they reach further than their sum in quadrature. Here
 * every rounding is drawn at random and carried through the whole pass, some times over (Parker,
 * "Monte Carlo Arithmetic: how to gamble with floating point and win", 2000), and the larger of
 * both deviations counts.
 */
public final class Sampled {
  private static final int SAMPLES = 16;

  private Sampled() {}

  /**
   * The results of a pass with errors at least as large as sampled ones.
   *
   * @param texts that layers read
   * @param layers each layer's output, from the tokens on
   * @param logits likewise
   * @param experts that the reference chose, by layer with experts
   * @return the layers' and, last, the logits
   */
  public static List<Estimate> widen(
      Oracle oracle,
      Texts texts,
      List<Estimate> layers,
      Estimate logits,
      Map<Integer, List<int[]>> experts) {
    List<Estimate> exact = new ArrayList<>(layers);
    exact.add(logits);
    return widen(
        exact,
        random -> {
          Oracle noisy = oracle.sampled(random);
          List<Estimate> results = new ArrayList<>();
          Estimate hidden = noisy.embed(texts.of(0));
          for (int layer = 0; layer < layers.size(); layer++) {
            if (texts.begin(layer)) {
              noisy = noisy.reading(hidden);
              hidden = noisy.embed(texts.of(layer));
            }
            hidden = noisy.layer(layer, texts.of(layer), hidden, experts.get(layer)).output();
            results.add(hidden);
          }
          results.add(noisy.head(hidden));
          return results;
        });
  }

  /** Likewise of any results; the pass draws its roundings from what it is given. */
  static List<Estimate> widen(List<Estimate> exact, Function<Random, List<Estimate>> pass) {
    List<double[]> squares = new ArrayList<>();
    exact.forEach(estimate -> squares.add(new double[estimate.rows() * estimate.columns()]));
    for (int sample = 0; sample < SAMPLES; sample++) {
      List<Estimate> noisy = pass.apply(new Random(sample));
      for (int i = 0; i < exact.size(); i++) {
        noisy.get(i).addSquares(exact.get(i), squares.get(i));
      }
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
}
