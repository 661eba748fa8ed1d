package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.Multipliers;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Parts;
import java.util.List;

/**
 * Grok-1 (xAI, 2024; {@code xai-org/grok-1} {@code model.py}): both halves of a layer are normed
 * before and after, scores are capped, weights of experts stay as they are. The release has no
 * config.json; keys are those of its port to transformers ({@code hpcai-tech/grok-1}).
 */
final class Grok1 {
  private static final Key<Double> CAP =
      Key.positive("max_attn_value", "what scores of attention are held below").or(30.0);
  private static final Key<Double> ATTENTION =
      Key.positive("attn_output_multiplier", "factor of a query times a key");
  private static final Key<Double> EMBEDDING =
      Key.positive("embedding_multiplier_scale", "factor of the embedding");
  private static final Key<Double> LOGITS =
      Key.positive("output_multiplier_scale", "factor of the logits");

  static final Family FAMILY =
      new Family(
          "grok-1",
          "Grok1ModelForCausalLM",
          Llama.KEYS
              .and(Llama.TIED.or(true).only(true), RotarySettings.THETA.or(10000.0))
              .and(CAP, ATTENTION, EMBEDDING, LOGITS)
              .and(Experts.COUNT, Experts.PER_TOKEN, Experts.WIDTH.spelled("intermediate_size"))
              .and(Experts.NORMALISED.constant(false))
              .and(Experts.GELU.constant("gelu_pytorch_tanh")),
          Grok1::model,
          List.of(Names.GROK));

  private Grok1() {}

  private static Architecture model(Settings c) {
    var scaled = Llama.attention(c).withScale(c.get(ATTENTION));
    var attention = Parts.with(scaled, "scoreCap", c.get(CAP));
    var plain = Llama.model(c, attention, Experts.of(c, Experts.softmax(c)));
    var placed = Parts.with(plain, "normPlacement", NormPlacement.INPUT_AND_OUTPUT);
    var multipliers = Multipliers.of(c.get(EMBEDDING), 1, c.get(LOGITS));
    return Parts.with(placed, "multipliers", multipliers);
  }
}
