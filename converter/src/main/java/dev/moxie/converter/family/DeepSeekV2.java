package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Set;

/**
 * DeepSeek-V2 and V2-Lite (DeepSeek-AI, "DeepSeek-V2", 2024; transformers {@code
 * models/deepseek_v2/modeling_deepseek_v2.py}): latent attention; a softmax over all experts, or
 * over those of the groups whose best expert is best.
 */
final class DeepSeekV2 {
  private static final String GREEDY = "greedy";
  private static final String GROUPED = "group_limited_greedy";
  private static final Key<String> METHOD =
      Key.word("topk_method", "how experts are chosen", Set.of(GREEDY, GROUPED)).or(GREEDY);

  /** Whether layers without experts come between the others. */
  static final Key<Integer> FREQUENCY =
      Key.count("moe_layer_freq", 1000, "layers of which one has experts").only(1);

  /** Keys of DeepSeek's experts. */
  static final Keys EXPERTS =
      Experts.KEYS
          .and(Experts.COUNT.spelled("n_routed_experts"), Experts.SHARED, Experts.SCALE)
          .and(Experts.GROUPS, Experts.KEPT_GROUPS, Experts.DENSE_FIRST, Experts.DENSE_WIDTH)
          .and(Key.flag("mlp_bias", "biases of layers without experts").only(false))
          .and(FREQUENCY);

  static final Family FAMILY =
      new Family(
          "deepseek_v2",
          "DeepseekV2ForCausalLM",
          Latent.KEYS
              .and(EXPERTS)
              // DeepSeek's code normalises but then does not scale, transformers ignores the key.
              .and(Experts.NORMALISED.only(false), METHOD)
              .and(Experts.GROUPS.orNone(), Experts.KEPT_GROUPS.orNone())
              .and(Key.text("scoring_func", "score of an expert").only("softmax")),
          DeepSeekV2::model,
          List.of(Names.released(Names.LLAMA, Names.LATENT, Names.DEEPSEEK)));

  private DeepSeekV2() {}

  private static Architecture model(Settings c) {
    var grouped =
        c.get(METHOD).equals(GROUPED)
            ? Experts.groups(c, Routing.Groups.Aggregate.MAXIMUM, Routing.Groups.MaskValue.ZERO)
            : null;
    var routing = Experts.softmax(c).withGroups(grouped).withScale(c.get(Experts.SCALE));
    var attention = Latent.attention(c, Rotary.Pairing.INTERLEAVED);
    return Experts.model(c, attention, Experts.of(c, routing));
  }
}
