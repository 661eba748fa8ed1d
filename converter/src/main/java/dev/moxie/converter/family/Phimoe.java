package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Map;

/**
 * Phi-3.5-MoE (Abdin et al., "Phi-3 Technical Report", 2024; transformers {@code
 * models/phimoe/modeling_phimoe.py}): two experts, each weighed among those near it; norms with
 * biases. Beyond the original length implementations differ, so that a package ends there.
 */
final class Phimoe {
  private static final Key<Double> JITTER =
      Key.notNegative("router_jitter_noise", "half of how near an expert must be").or(0.01);
  private static final Key<Boolean> HEAD_BIAS =
      Key.flag("lm_head_bias", "a bias of the head").or(false);
  private static final Key<Integer> ORIGINAL =
      Key.count("original_max_position_embeddings", Integer.MAX_VALUE, "length before longrope")
          .spelled(
              "original_max_position_embeddings",
              "rope_scaling.original_max_position_embeddings",
              "rope_parameters.original_max_position_embeddings")
          .orNone();

  private static final String ROUTER = "model.layers.{layer}.mlp.router";
  private static final Layout RELEASED =
      Names.released(
          Names.LLAMA,
          Names.BLOCK_SPARSE,
          Names.inLayer("attention_norm.bias", "input_layernorm.bias"),
          Names.inLayer("feed_forward_norm.bias", "post_attention_layernorm.bias"),
          Map.of("final_norm.bias", "model.norm.bias", "head.bias", "lm_head.bias"));

  static final Family FAMILY =
      new Family(
              "phimoe",
              "PhimoeForCausalLM",
              Llama.KEYS
                  .and(Llama.BIASES, Llama.WINDOW, JITTER, HEAD_BIAS, ORIGINAL)
                  .and(RotarySettings.SHORT, RotarySettings.SHORT_MAGNITUDE)
                  .and(Experts.ACTIVATION, Experts.COUNT.spelled("num_local_experts"))
                  .and(Experts.PER_TOKEN.only(2), Experts.WIDTH.spelled("intermediate_size"))
                  .neutral("in training alone", "input_jitter_noise")
                  .neutral("beyond the original length", "rope_scaling.long_factor")
                  .neutral("beyond it", "rope_scaling.long_mscale", "rope_parameters.long_mscale")
                  .neutral("beyond it, too", "rope_parameters.long_factor"),
              Phimoe::model,
              List.of(
                  RELEASED,
                  Names.fused(RELEASED)
                      .and("router.weight", ROUTER + ".weight", Arrangement.ITSELF)))
          .alsoClass("PhiMoEForCausalLM");

  private Phimoe() {}

  private static Architecture model(Settings c) {
    var attention = Llama.alike(c, Llama.attention(c), c.find(Llama.WINDOW));
    var mixer = new Routing.Mixer(2 * c.get(JITTER));
    var routing = Routing.of(c.get(Experts.PER_TOKEN), Routing.Score.SOFTMAX).withMixer(mixer);
    var plain = Llama.model(c, attention, Experts.of(c, routing));
    var centred = Parts.with(Parts.with(plain, "centredNorms", true), "normBiases", true);
    Rotary rotary = attention.rotary();
    boolean stretched = rotary != null && rotary.scaling() != null;
    int positions = stretched ? c.get(ORIGINAL) : c.get(Llama.POSITIONS);
    var bounded = Parts.with(centred, "maxPositions", (long) positions);
    return Parts.with(bounded, "headBias", c.get(HEAD_BIAS));
  }
}
