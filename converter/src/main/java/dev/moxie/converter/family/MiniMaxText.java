package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * MiniMax-Text-01 (MiniMax, "MiniMax-01", 2025; transformers {@code
 * models/minimax/modeling_minimax.py}): lightning attention in most layers, and a residual stream
 * that is normed and scaled.
 */
final class MiniMaxText {
  private static final Layout RELEASED =
      Names.released(Names.LLAMA, Names.BLOCK_SPARSE, Lightning.NAMES);

  static final Family FAMILY =
      new Family(
              "minimax",
              "MiniMaxForCausalLM",
              Llama.KEYS
                  .and(Lightning.KEYS)
                  .and(Llama.WINDOW, Llama.TYPES, MiniMax.TURNED)
                  .and(Experts.KEYS)
                  .and(
                      Experts.COUNT.spelled("num_local_experts"),
                      Experts.WIDTH.spelled("intermediate_size"),
                      Experts.NORMALISED.constant(true),
                      Experts.SHARED.spelled("shared_intermediate_size").only(0))
                  .neutral("kind of what no layer has", "shared_moe_mode"),
              MiniMaxText::model,
              List.of(RELEASED, Names.fused(RELEASED)))
          .repeating(DecayTable.NAMES);

  private MiniMaxText() {}

  private static Architecture model(Settings c) {
    Attention full = Llama.attention(c, Lightning.rotary(c)).withWindow(c.find(Llama.WINDOW));
    Attention lightning = Lightning.attention(c);
    IntPredicate states = Lightning.states(c);
    var experts = Experts.of(c, Experts.softmax(c));
    return Lightning.scaled(
        c, Llama.model(c, i -> states.test(i) ? lightning : full, i -> experts));
  }
}
