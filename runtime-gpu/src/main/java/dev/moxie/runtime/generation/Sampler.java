package dev.moxie.runtime.generation;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Chooses the next token: the largest logit at temperature 0, else a draw from softmax(logits /
 * temperature), cut to the topK likeliest and then to the fewest whose probabilities reach topP
 * (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020). Of equal logits the
 * lower id comes first. The same seed draws the same tokens.
 *
 * @param temperature from 0
 * @param topK tokens kept; 0 keeps all
 * @param topP above 0, at most 1
 */
public record Sampler(double temperature, int topK, double topP, long seed) {
  /** Always the largest logit. */
  public static final Sampler GREEDY = new Sampler(0, 0, 1, 0);

  public Sampler {
    if (!(temperature >= 0) || topK < 0 || !(topP > 0) || topP > 1) {
      throw new IllegalArgumentException(
          "expected temperature ≥ 0, top-k ≥ 0 and 0 < top-p ≤ 1, found "
              + temperature
              + ", "
              + topK
              + ", "
              + topP);
    }
  }

  SplittableRandom random() {
    return new SplittableRandom(seed);
  }

  /** The largest value's index, the lowest of equal ones. */
  public static int largest(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  int choose(float[] logits, SplittableRandom random) {
    if (temperature == 0) {
      return largest(logits);
    }
    List<Integer> ids = new ArrayList<>();
    for (int i = 0; i < logits.length; i++) {
      ids.add(i);
    }
    ids.sort(Comparator.comparingDouble((Integer i) -> logits[i]).reversed());
    int kept = topK == 0 ? ids.size() : Math.min(topK, ids.size());
    double[] weights = new double[kept];
    double total = 0;
    for (int i = 0; i < kept; i++) {
      weights[i] = Math.exp((logits[ids.get(i)] - logits[ids.getFirst()]) / temperature);
      total += weights[i];
    }
    double mass = 0;
    int nucleus = 0;
    while (nucleus < kept && mass < topP * total) {
      mass += weights[nucleus++];
    }
    double draw = random.nextDouble() * mass;
    for (int i = 0; i < nucleus; i++) {
      draw -= weights[i];
      if (draw < 0) {
        return ids.get(i);
      }
    }
    return ids.get(nucleus - 1);
  }
}
