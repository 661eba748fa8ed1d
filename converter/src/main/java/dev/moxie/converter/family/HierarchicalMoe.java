package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * The hierarchical mixture of Shazeer et al. ("Outrageously Large Neural Networks: The
 * Sparsely-Gated Mixture-of-Experts Layer", 2017, appendix B, equation 12): a primary gate keeps
 * the best groups of experts, a secondary one in each of these the best experts, both by a softmax
 * over what is kept, and weights are products of both. The noise of both gates is of training.
 * Experts stand in a Transformer, where the paper has them between LSTM layers.
 */
final class HierarchicalMoe {
  private static final Key<Integer> GROUPS =
      Key.count("num_groups", Limits.MAX_EXPERTS, "groups that the primary gate chooses from");
  private static final Key<Integer> KEPT =
      Key.count("primary_top_k", Limits.MAX_EXPERTS, "groups of a token");
  private static final Key<Integer> EACH =
      Key.count("secondary_top_k", Limits.MAX_EXPERTS, "experts of a token in each of its groups");

  static final Family FAMILY =
      new Family(
          "hierarchical_moe",
          "HierarchicalMoeForCausalLM",
          Papers.DECODER.without(Papers.CAPACITY).and(GROUPS, KEPT, EACH),
          HierarchicalMoe::model,
          List.of(PaperNames.DECODER));

  private HierarchicalMoe() {}

  private static Architecture model(Settings c) {
    int experts = c.get(Experts.COUNT);
    int groups = c.atMost(GROUPS, experts);
    if (groups == 1 || experts % groups != 0) {
      throw c.wrong(GROUPS, "a divisor of %d experts, 2 or more".formatted(experts), groups);
    }
    int kept = c.atMost(KEPT, groups);
    var routing = Papers.routing(c, kept * c.atMost(EACH, experts / groups));
    var hierarchy = new Routing.Hierarchy(groups, kept);
    return Papers.decoder(c, Papers.experts(c, Parts.with(routing, "hierarchy", hierarchy)));
  }
}
