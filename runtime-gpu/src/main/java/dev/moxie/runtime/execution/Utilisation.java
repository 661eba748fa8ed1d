package dev.moxie.runtime.execution;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How evenly one layer spreads tokens over its experts. With n_e tokens that chose expert e, T
 * tokens, k experts per token and E experts, f_e = n_e / (T k) is the share of expert e (Fedus et
 * al., "Switch Transformers", 2021, equation 5, there with k = 1).
 *
 * @param tokens T
 * @param expertsPerToken k
 * @param counts n_e, [E]
 * @param imbalance max f_e / mean f_e = E max f_e; 1 is even, E / k the worst
 * @param entropy H = −Σ f_e ln f_e, in nats; ln E is even, ln k the worst
 * @param effectiveExperts exp(H): as many evenly used experts have the same entropy
 * @param unused experts that no token chose
 * @param dead unused experts, where even routing would hardly have left any unused: with
 *     independent choices, E (1 − k/E)^T experts are expected to stay unused, and the unused ones
 *     count as dead where that is below {@value #CHANCE}
 * @param collapsed whether the effective experts are nearer to k than to E, as a ratio: exp(H) <
 *     sqrt(k E), k < E; false for so few tokens that E (1 − k/E)^T is not below {@value #CHANCE},
 *     since even routing then has few effective experts too
 */
public record Utilisation(
    long tokens,
    int expertsPerToken,
    List<Long> counts,
    double imbalance,
    double entropy,
    double effectiveExperts,
    List<Integer> unused,
    List<Integer> dead,
    boolean collapsed) {
  /** Expected number of unused experts under even routing, below which they are not chance. */
  public static final double CHANCE = 0.01;

  public Utilisation {
    counts = List.copyOf(counts);
    unused = List.copyOf(unused);
    dead = List.copyOf(dead);
  }

  /**
   * From the experts that each token chose.
   *
   * @param chosen one array [k] per token, at least one
   * @param experts E
   */
  public static Utilisation of(List<int[]> chosen, int experts) {
    long[] counts = new long[experts];
    for (int[] one : chosen) {
      for (int expert : one) {
        counts[expert]++;
      }
    }
    return of(counts, chosen.size(), chosen.getFirst().length);
  }

  /**
   * From counts.
   *
   * @param counts n_e, [E]; their sum is T k
   * @param tokens T, at least 1
   * @param expertsPerToken k
   */
  public static Utilisation of(long[] counts, long tokens, int expertsPerToken) {
    int experts = counts.length;
    double choices = (double) tokens * expertsPerToken;
    long most = 0;
    double entropy = 0;
    List<Integer> unused = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      most = Math.max(most, counts[e]);
      double share = counts[e] / choices;
      if (counts[e] == 0) {
        unused.add(e);
      } else {
        entropy -= share * Math.log(share);
      }
    }
    double expected = experts * Math.pow(1 - (double) expertsPerToken / experts, (double) tokens);
    boolean telling = expected < CHANCE;
    double effective = Math.exp(entropy);
    return new Utilisation(
        tokens,
        expertsPerToken,
        Arrays.stream(counts).boxed().toList(),
        experts * most / choices,
        entropy,
        effective,
        unused,
        telling ? unused : List.of(),
        telling
            && expertsPerToken < experts
            && effective < Math.sqrt((double) expertsPerToken * experts));
  }
}
