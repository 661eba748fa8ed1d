package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * Granite 3 MoE (IBM, "Granite 3.0 Language Models", 2024; transformers {@code
 * models/granitemoe/modeling_granitemoe.py}): four multipliers; the softmax goes over the chosen
 * experts alone, which is the one over all of them divided by the sum of the chosen.
 */
final class Granite {
  private static final Key<Double> ATTENTION =
      Key.positive("attention_multiplier", "factor of a query times a key").or(1.0);
  private static final Key<Double> EMBEDDING =
      Key.positive("embedding_multiplier", "factor of the embedding").or(1.0);
  private static final Key<Double> RESIDUAL =
      Key.positive("residual_multiplier", "factor of what each half of a layer adds").or(1.0);
  private static final Key<Double> LOGITS =
      Key.positive("logits_scaling", "what logits are divided by").or(1.0);

  private static final String NETWORK = "model.layers.{layer}.block_sparse_moe.";

  static final Keys KEYS =
      Llama.KEYS
          .and(Llama.BIASES, ATTENTION, EMBEDDING, RESIDUAL, LOGITS)
          .and(Experts.KEYS)
          .and(
              Experts.COUNT.spelled("num_local_experts"),
              Experts.WIDTH.spelled("intermediate_size"),
              Experts.NORMALISED.constant(true));

  static final Layout RELEASED =
      Names.released(Names.LLAMA, Names.weights("router", "block_sparse_moe.router.layer"))
          .and("experts.gate_up.weight", NETWORK + "input_linear.weight", Arrangement.HALVES)
          .and("experts.down.weight", NETWORK + "output_linear.weight", Arrangement.STACKED);

  static final Family FAMILY =
      new Family(
          "granitemoe",
          "GraniteMoeForCausalLM",
          KEYS,
          c -> model(c, alike(c), Experts.of(c, Experts.softmax(c))),
          List.of(RELEASED, fused(RELEASED)));

  private Granite() {}

  static Layout fused(Layout released) {
    return Names.fused(released, NETWORK)
        .and("router.weight", NETWORK + "router.weight", Arrangement.ITSELF)
        .as("transformers 5");
  }

  /** The attention of models of which every layer attends. */
  static IntFunction<Attention> alike(Settings c) {
    Attention attention = attention(c, Llama.rotary(c, Rotary.Pairing.HALVES));
    return i -> attention;
  }

  static Attention attention(Settings c, @Nullable Rotary rotary) {
    return Llama.attention(c, rotary).withScale(c.get(ATTENTION));
  }

  static Architecture model(Settings c, IntFunction<Attention> attention, FeedForward experts) {
    return Parts.with(
        Llama.model(c, attention, i -> experts),
        "multipliers",
        Architecture.Multipliers.of(c.get(EMBEDDING), c.get(RESIDUAL), 1 / c.get(LOGITS)));
  }
}
