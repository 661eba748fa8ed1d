package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.Multipliers;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * Grok-1 (xAI, 2024; {@code xai-org/grok-1} {@code model.py}): both halves of a layer are normed
 * before and after, scores are capped, weights of experts are not normalised, and int8 matrices lie
 * in pickles, a file each, in the order of Haiku's paths. The release has no config.json: keys are
 * those of its port to transformers.
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

  private static final String LAYER = "transformer.decoder_layer.{layer}.";
  private static final String ATTENDING = LAYER + "multi_head_attention.";
  private static final String EXPERTS = LAYER + "moe.";

  /** Haiku's paths, a dot for each slash and before each number of a layer. */
  private static final Layout RELEASED =
      Names.released(
              Names.ends("language_model.in_out_embed", "language_model.rms_norm", "head"),
              Names.under(
                  LAYER,
                  Names.weights(
                      "attention_norm", "rms_norm",
                      "attention_output_norm", "rms_norm_1",
                      "feed_forward_norm", "rms_norm_2",
                      "feed_forward_output_norm", "rms_norm_3")))
          .and("attention.query.weight", ATTENDING + "query.weight", Arrangement.TRANSPOSED)
          .and("attention.key.weight", ATTENDING + "key.weight", Arrangement.TRANSPOSED)
          .and("attention.value.weight", ATTENDING + "value.weight", Arrangement.TRANSPOSED)
          .and("attention.output.weight", ATTENDING + "linear.weight", Arrangement.TRANSPOSED)
          .and("router.weight", LAYER + "router.weight", Arrangement.TRANSPOSED)
          .and("experts.gate.weight", EXPERTS + "linear.weight", Arrangement.STACKED_TRANSPOSED)
          .and("experts.up.weight", EXPERTS + "linear_v.weight", Arrangement.STACKED_TRANSPOSED)
          .and("experts.down.weight", EXPERTS + "linear_1.weight", Arrangement.STACKED_TRANSPOSED);

  static final Family FAMILY =
      new Family(
              "grok-1",
              "Grok1ModelForCausalLM",
              Llama.KEYS
                  .and(Llama.TIED.or(true).only(true), RotarySettings.THETA.or(10000.0))
                  .and(CAP, ATTENTION, EMBEDDING, LOGITS)
                  .and(Experts.COUNT, Experts.PER_TOKEN)
                  .and(Experts.WIDTH.spelled("intermediate_size"))
                  .and(Experts.NORMALISED.constant(false))
                  .and(Experts.GELU.constant("gelu_pytorch_tanh")),
              Grok1::model,
              List.of(RELEASED))
          .alsoClass("GrokForCausalLM");

  private Grok1() {}

  private static Architecture model(Settings c) {
    var attention =
        Parts.with(Llama.attention(c).withScale(c.get(ATTENTION)), "scoreCap", c.get(CAP));
    Routing routing = Experts.softmax(c);
    var plain = Llama.model(c, attention, Experts.of(c, routing));
    var placed = Parts.with(plain, "normPlacement", NormPlacement.INPUT_AND_OUTPUT);
    return Parts.with(placed, "multipliers", Multipliers.of(c.get(EMBEDDING), 1, c.get(LOGITS)));
  }
}
