package dev.moxie.verifier.routing;

import dev.moxie.runtime.execution.Utilisation;
import java.util.List;

/** What the numbers of a routing report are. */
final class Equations {
  static final List<Equation> ALL =
      List.of(
          new Equation(
              "share",
              "f_e = n_e / (T k)",
              "Fedus et al., Switch Transformers, 2021, equation 5, where k = 1; divided by k so"
                  + " that shares sum to 1"),
          new Equation(
              "mean score",
              "P_e = Σ_t (s_e / Σ_j s_j) / T",
              "Switch Transformers, equation 6; softmax scores sum to 1 already, sigmoid scores as"
                  + " in DeepSeek-AI, DeepSeek-V3, 2024, section 2.1.2"),
          new Equation(
              "loss",
              "E Σ_e f_e P_e",
              "Switch Transformers, equation 4, without its factor α; 1 where tokens or scores are"
                  + " spread evenly, for every k"),
          new Equation("imbalance", "E max_e f_e", "1 is even, E / k the worst"),
          new Equation("entropy", "H = −Σ_e f_e ln f_e", "ln E is even, ln k the worst"),
          new Equation("effective", "exp(H)", "as many evenly used experts have the same entropy"),
          new Equation(
              "dead",
              "n_e = 0, E (1 − k/E)^T < " + Utilisation.CHANCE,
              "unused, and not by chance"),
          new Equation(
              "collapsed",
              "exp(H) < sqrt(k E), E (1 − k/E)^T < " + Utilisation.CHANCE,
              "nearer to k experts than to E, and not by chance"),
          new Equation(
              "more, less",
              "|x_A − x_B| > t sqrt(s_A² / a + s_B² / b), s² ≥ %1$d p (1 − p)"
                  .formatted(BlockTally.TOKENS),
              ("x the tokens of a block of %d that choose an expert, on average over the a blocks"
                   + " of a text, or the b of all others, p the part of all tokens; t of min(a, b)"
                   + " − 1 degrees of freedom for %s over twice experts times texts: chance alone"
                   + " passes it in that part of the layers (Welch, 1947; Bonferroni)")
                  .formatted(BlockTally.TOKENS, TextTally.CHANCE)),
          new Equation(
              "margin",
              "a − b",
              "a the smallest value that was taken, b the largest that was rejected, of experts in"
                  + " the kept groups or of groups, in the runtime's own float32"),
          new Equation(
              "close",
              "a − b ≤ 2^-24 (|a| + |b|)",
              "storing a and b in float32 alone may have decided; errors on the way to them come on"
                  + " top"));

  private Equations() {}
}
