package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import java.util.List;
import java.util.Map;

/**
 * Qwen1.5-MoE and Qwen2-57B-A14B (Qwen Team, "Qwen2 Technical Report", 2024; transformers {@code
 * models/qwen2_moe/modeling_qwen2_moe.py}): biases, and a switched shared expert.
 */
final class Qwen2Moe {
  static final Key<Integer> SHARED_WIDTH =
      Key.count(
          "shared_expert_intermediate_size", Limits.MAX_WIDTH, "width inside the shared expert");
  private static final Key<Integer> LAST_WINDOW =
      Key.whole("max_window_layers", 0, Experts.MAX_STEP, "layers up to the last with a window")
          .or(28);

  /** The shared expert. */
  static final Map<String, String> SHARED =
      Names.join(
          Names.gated("shared", "mlp.shared_expert."),
          Names.weights("shared.switch", "mlp.shared_expert_gate"));

  private static final Layout RELEASED =
      Names.released(Names.LLAMA, Names.DENSE, Names.EXPERTS, SHARED);

  static final Family FAMILY =
      new Family(
          "qwen2_moe",
          "Qwen2MoeForCausalLM",
          Qwen3Moe.KEYS.and(Llama.INPUT_BIASES.or(true), SHARED_WIDTH, LAST_WINDOW),
          Qwen2Moe::model,
          List.of(RELEASED, Names.fused(RELEASED)));

  private Qwen2Moe() {}

  private static Architecture model(Settings c) {
    boolean used = Qwen3Moe.window(c) != null;
    int last = c.get(LAST_WINDOW);
    var attention = Llama.windowed(c, Llama.attention(c), i -> used && i % 2 == 0 && i < last);
    var shared = new FeedForward.SharedExperts(c.get(SHARED_WIDTH), true);
    return Qwen3Moe.model(c, attention, Experts.of(c, Experts.softmax(c), shared));
  }
}
