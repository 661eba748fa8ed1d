package dev.moxie.converter.family;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.FeedForward.OutputFactors;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.Set;

/**
 * Experts whose sum may be averaged with what shared ones make, chosen by a softmax over the chosen
 * or by a sigmoid (transformers {@code models/cohere2_moe/configuration_cohere2_moe.py}).
 */
final class AveragedExperts {
  private static final String SOFTMAX = "softmax";
  private static final String AVERAGE = "average";

  private static final Key<String> SCORE =
      Key.word("expert_selection_fn", "score of an expert", Set.of(SOFTMAX, "sigmoid")).or(SOFTMAX);
  private static final Key<String> SUM =
      Key.word(
              "shared_expert_combination_strategy",
              "what becomes of routed and shared experts",
              Set.of(AVERAGE, "sum"))
          .or(AVERAGE);

  static final Keys KEYS =
      Experts.KEYS
          .and(Experts.WIDTH.spelled("intermediate_size"), Experts.NORMALISED.or(true), SCORE)
          .and(Experts.SHARED.spelled("num_shared_experts"), SUM)
          .and(Experts.DENSE_WIDTH.spelled("prefix_dense_intermediate_size"));

  private AveragedExperts() {}

  /** A layer without experts, as wide as one where nothing else is said. */
  static FeedForward dense(Settings c) {
    return c.find(Experts.DENSE_WIDTH) == null
        ? new FeedForward.Dense(c.get(Experts.WIDTH), FeedForward.Activation.SILU)
        : Experts.dense(c);
  }

  static FeedForward of(Settings c) {
    boolean softmax = c.get(SCORE).equals(SOFTMAX);
    var routing =
        softmax
            ? Experts.softmax(c).withNormalisation(new Routing.Normalisation(0))
            : Experts.route(c, Routing.Score.SIGMOID);
    var experts = Experts.of(c, routing);
    boolean averaged = experts.shared() != null && c.get(SUM).equals(AVERAGE);
    return averaged ? Parts.with(experts, "outputFactors", new OutputFactors(0.5, 0.5)) : experts;
  }
}
