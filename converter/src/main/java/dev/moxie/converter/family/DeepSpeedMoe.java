package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * DeepSpeed-MoE's PR-MoE (Rajbhandari et al., "DeepSpeed-MoE: Advancing Mixture-of-Experts
 * Inference and Training to Power Next-Generation AI Scale", 2022, section 4.1.2): more experts in
 * later layers (pyramid), and a network for every token besides (residual). The paper adds what
 * both make; the code mixes it by a softmax of two numbers, as here (microsoft/DeepSpeed {@code
 * deepspeed/moe/layer.py}). A token has one expert, weighed by its softmax; capacity by {@code
 * sharded_moe.py}, without its random token selection.
 */
final class DeepSpeedMoe {
  private static final Key<List<Integer>> EXPERTS =
      Key.ofLayers(Limits.MAX_EXPERTS, "experts in a layer, where it has any", "num_experts");
  private static final Key<Integer> LEAST =
      Key.count("min_capacity", Integer.MAX_VALUE, "tokens that an expert takes at least").or(4);
  private static final Key<Boolean> RESIDUAL =
      Key.flag("use_residual", "whether a network besides is mixed with experts").or(true);

  static final Family FAMILY =
      new Family(
          "deepspeed_moe",
          "DeepSpeedMoeForCausalLM",
          Papers.DECODER
              .without(Experts.COUNT)
              .and(EXPERTS, LEAST, RESIDUAL)
              .and(Key.flag("use_rts", "random token selection").only(false)),
          DeepSpeedMoe::model,
          List.of(PaperNames.DECODER));

  private DeepSpeedMoe() {}

  private static Architecture model(Settings c) {
    FeedForward dense = Papers.dense(c);
    List<Integer> experts = c.get(EXPERTS);
    return Papers.decoder(c, i -> Experts.isTurn(c, i) ? experts(c, experts.get(i)) : dense);
  }

  private static FeedForward experts(Settings c, int count) {
    Routing.@Nullable Drops part = Papers.drops(c, count, 1, false);
    int least = c.get(LEAST);
    var drops = part == null || least == 1 ? part : Parts.with(part, "least", least);
    var routing = Routing.of(1, Routing.Score.SOFTMAX).withDrops(drops);
    var mixed = new FeedForward.SharedExperts(c.get(Experts.WIDTH), false, false, true);
    var alone = Papers.experts(c, count, routing);
    return c.on(RESIDUAL) ? Parts.with(alone, "shared", mixed) : alone;
  }
}
