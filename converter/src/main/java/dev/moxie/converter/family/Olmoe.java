package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import java.util.List;

/**
 * OLMoE-1B-7B (Muennighoff et al., "OLMoE: Open Mixture-of-Experts Language Models", 2024;
 * transformers {@code models/olmoe/modeling_olmoe.py}): queries and keys are normed over all heads.
 */
final class Olmoe {
  /** Keys of OLMo's mixtures of experts. */
  static final Keys KEYS =
      Llama.KEYS
          .and(Llama.BIASES)
          .and(Experts.KEYS)
          .and(
              Experts.COUNT.spelled("num_experts", "num_local_experts"),
              Experts.WIDTH.spelled("intermediate_size"),
              Experts.NORMALISED.or(false));

  static final Family FAMILY =
      new Family(
          "olmoe",
          "OlmoeForCausalLM",
          KEYS.and(Llama.CLIP),
          Olmoe::model,
          List.of(Names.released(Names.LLAMA, Names.EXPERTS)));

  private Olmoe() {}

  static Architecture model(Settings c) {
    var attention = Llama.normed(c, Llama.attention(c), Attention.NormSpan.ALL_HEADS);
    return Llama.model(c, attention, Experts.of(c, Experts.softmax(c)));
  }
}
