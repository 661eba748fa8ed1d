package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Attention.GroupedQuery;
import dev.moxie.format.model.FeedForward.OutputFactors;
import dev.moxie.format.model.FeedForward.SharedExperts;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.function.IntFunction;

/**
 * Laguna (poolside, 2026; transformers {@code models/laguna/modeling_laguna.py}): layers with heads
 * of their own number and angles by their kind, what these read gated; the scale is of the sum over
 * experts.
 */
final class Laguna {
  private static final Key<List<Integer>> HEADS =
      Key.ofLayers(Limits.MAX_HEADS, "query heads of each layer", "num_attention_heads_per_layer")
          .orNone();
  private static final Key<Double> CAP =
      Key.notNegative("moe_router_logit_softcapping", "what router logits are held below").or(0.0);
  private static final Key<Boolean> ON_INPUT =
      Key.flag("moe_apply_router_weight_on_input", "whether weights multiply what experts read");

  static final Family FAMILY =
      new Family(
          "laguna",
          "LagunaForCausalLM",
          RotarySettings.byKind(Llama.KEYS)
              .and(
                  Llama.HEAD_SIZE.or(128),
                  Llama.KEY_HEADS.or(8),
                  HEADS,
                  HeadGate.PER_HEAD,
                  Llama.BIASES)
              .and(Llama.WINDOW.or(512), Llama.TYPES, CAP, ON_INPUT.only(false))
              .and(Experts.KEYS)
              .and(Experts.NORMALISED.constant(true), Experts.DENSE_WIDTH, Qwen2Moe.SHARED_WIDTH)
              .and(Experts.SCALE.spelled("moe_routed_scaling_factor").or(1.0))
              .and(Experts.KINDS, Experts.DENSE_FIRST.constant(1)),
          Laguna::model,
          List.of(
              Names.released(
                  Names.LLAMA,
                  Names.DENSE,
                  Names.EXPERTS,
                  Names.gated("shared", "mlp.shared_expert."),
                  Names.weights("attention.output_gate", "self_attn.g_proj"),
                  Names.inLayer("router.bias", "mlp.experts.e_score_correction_bias"))));

  private Laguna() {}

  private static Architecture model(Settings c) {
    var windows = Llama.listed(c, Llama.WINDOWED, i -> false);
    var rotary = RotarySettings.byKind(c, windows, Rotary.Pairing.HALVES);
    var normed = Llama.normed(c, Llama.attention(c, null), Attention.NormSpan.HEAD);
    var gated = Parts.with(normed, "gate", HeadGate.read(c));
    IntFunction<GroupedQuery> all = Llama.windowed(c, gated, i -> false);
    List<Integer> heads = c.find(HEADS);
    var routing = Experts.route(c, Routing.Score.SIGMOID).withBias(Routing.Bias.SELECTION);
    var capped = Parts.with(routing, "logitCap", c.get(CAP) == 0 ? null : c.get(CAP));
    var shared = new SharedExperts(c.get(Qwen2Moe.SHARED_WIDTH));
    var factors = OutputFactors.of(c.get(Experts.SCALE), 1);
    var experts = Parts.with(Experts.of(c, capped, shared), "outputFactors", factors);
    return Experts.model(
        c,
        i -> {
          GroupedQuery turned = all.apply(i).withRotary(rotary.apply(i));
          return heads == null ? turned : Parts.with(turned, "heads", heads.get(i));
        },
        experts);
  }
}
