package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import java.util.List;

/**
 * Solar Open 100B (Upstage, 2026; transformers {@code models/solar_open/modeling_solar_open.py}):
 * GLM-4.5 without norms of queries and keys, with experts in every layer.
 */
final class SolarOpen {
  static final Family FAMILY =
      new Family(
          "solar_open",
          "SolarOpenForCausalLM",
          Llama.KEYS
              .and(RotarySettings.THETA.or(1e6))
              .and(Llama.NORMED.only(false))
              .and(Llama.INPUT_BIASES.spelled("attention_bias").or(false))
              .and(DeepSeekV3.EXPERTS.without(Experts.DENSE_WIDTH))
              .and(Experts.ACTIVATION.or("silu"), Experts.SHARED.or(1), Experts.SCALE.or(1.0))
              .and(Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1))
              .and(Experts.DENSE_FIRST.only(0), Experts.PREDICTION.only(0))
              .neutral("width of what no layer has", "intermediate_size"),
          SolarOpen::model,
          List.of(Names.released(Names.LLAMA, Names.DEEPSEEK)));

  private SolarOpen() {}

  private static Architecture model(Settings c) {
    return Llama.model(c, Llama.attention(c), Experts.of(c, DeepSeekV3.routing(c)));
  }
}
