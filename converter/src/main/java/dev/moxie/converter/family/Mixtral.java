package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import java.util.List;

/**
 * Mixtral 8x7B, 8x22B and what is trained in their shape (Jiang et al., "Mixtral of Experts", 2024;
 * transformers {@code models/mixtral/modeling_mixtral.py}).
 */
final class Mixtral {
  private static final Layout RELEASED = Names.released(Names.LLAMA, Names.BLOCK_SPARSE);

  static final Family FAMILY =
      new Family(
          "mixtral",
          "MixtralForCausalLM",
          Llama.KEYS
              .and(Llama.WINDOW, Llama.TYPES)
              .and(Experts.KEYS)
              .and(
                  Experts.COUNT.spelled("num_local_experts"),
                  Experts.WIDTH.spelled("intermediate_size"),
                  Experts.NORMALISED.only(true)),
          Mixtral::model,
          List.of(RELEASED, Names.fused(RELEASED)));

  private Mixtral() {}

  private static Architecture model(Settings c) {
    var attention = Llama.alike(c, Llama.attention(c), c.find(Llama.WINDOW));
    return Llama.model(c, attention, Experts.of(c, Experts.softmax(c)));
  }
}
