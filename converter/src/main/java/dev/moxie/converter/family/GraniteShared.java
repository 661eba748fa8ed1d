package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import java.util.List;
import java.util.function.IntFunction;

/**
 * Granite MoE with shared experts (transformers {@code
 * models/granitemoeshared/modeling_granitemoeshared.py}): {@link Granite}, and a network beside the
 * routed experts whose gate and up are one matrix.
 */
final class GraniteShared {
  static final Key<Integer> WIDTH =
      Key.whole(
              "shared_intermediate_size",
              0,
              Limits.MAX_WIDTH,
              "width inside the shared experts, 0 for none")
          .or(0);

  private static final String SHARED = "model.layers.{layer}.shared_mlp.";
  static final Layout RELEASED =
      Granite.RELEASED
          .joined(SHARED + "input_linear.weight", List.of("shared.gate.weight", "shared.up.weight"))
          .and("shared.down.weight", SHARED + "output_linear.weight", Arrangement.ITSELF);

  static final Family FAMILY =
      new Family(
          "granitemoeshared",
          "GraniteMoeSharedForCausalLM",
          Granite.KEYS.and(WIDTH),
          c -> model(c, Granite.alike(c)),
          List.of(RELEASED, Granite.fused(RELEASED)));

  private GraniteShared() {}

  static Architecture model(Settings c, IntFunction<Attention> attention) {
    int width = c.get(WIDTH);
    var shared = width == 0 ? null : new FeedForward.SharedExperts(width);
    return Granite.model(c, attention, Experts.of(c, Experts.softmax(c), shared));
  }
}
