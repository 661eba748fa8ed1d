package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Attention.QueryKeyNorm;
import dev.moxie.format.model.FeedForward.SharedExperts;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * Hunyuan-A13B (Tencent, "Hunyuan-A13B Technical Report", 2025; transformers {@code
 * models/hunyuan_v1_moe/modeling_hunyuan_v1_moe.py}): queries and keys are normed after positions
 * turn them; one expert as wide as the others serves every token.
 */
final class Hunyuan {
  private static final Key<List<Integer>> COUNT =
      Key.ofLayers(Limits.MAX_EXPERTS, "routed experts in a layer", "num_experts");
  private static final Key<List<Integer>> PER_TOKEN =
      Key.ofLayers(Limits.MAX_EXPERTS, "experts that a token is given to", "moe_topk");

  static final Family V1 =
      new Family(
          "hunyuan_v1_moe",
          "HunYuanMoEV1ForCausalLM",
          Llama.KEYS
              .and(Llama.BIASES, RotarySettings.ALPHA)
              .and(COUNT.spelled("num_experts", "num_local_experts"))
              .and(PER_TOKEN.spelled("moe_topk", "num_experts_per_tok"))
              .and(Experts.ACTIVATION, Experts.WIDTH.spelled("intermediate_size"))
              .and(Experts.NORMALISED.only(true), Experts.SCALE.only(1.0), Llama.NORMED.only(true))
              .and(Key.flag("group_limited_greedy", "a choice within groups").only(false))
              .and(Key.flag("use_cla", "layers that share a cache").only(false))
              .and(Key.flag("use_mixed_mlp_moe", "the expert for every token").only(true))
              .and(Key.flag("mlp_bias", "biases of experts").only(false))
              .and(Key.flag("moe_drop_tokens", "experts of bounded capacity").only(false))
              .and(Key.flag("use_rotary_pos_emb", "positions turn heads").only(true))
              .and(Key.text("norm_type", "the norms").only("rms"))
              .and(Key.whole("moe_layer_num_skipped", 0, 0, "layers without experts").only(0))
              .neutral("what tensors show", "moe_intermediate_size", "num_shared_expert")
              .neutral("said elsewhere", "attention_head_dim", "cla_share_factor", "org_vocab_size")
              .neutral("in training alone", "moe_random_routing_dropped_token")
              .neutral("of a classifier", "add_classification_head", "class_num", "pool_type")
              .neutral("of what is no text", "dense_list", "num_media_embeds", "eod_token_id"),
          Hunyuan::first,
          List.of(
              Names.released(
                  Names.LLAMA,
                  Names.EXPERTS,
                  Names.gated("shared", "mlp.shared_mlp."),
                  Names.weights("router", "mlp.gate.wg"),
                  Names.weights("attention.query_norm", "self_attn.query_layernorm"),
                  Names.weights("attention.key_norm", "self_attn.key_layernorm"))));

  private Hunyuan() {}

  private static Architecture first(Settings c) {
    var shared = new SharedExperts(c.get(Experts.WIDTH));
    var norm = new QueryKeyNorm(Attention.NormSpan.HEAD, c.get(Llama.EPSILON), true, true);
    var attention = Parts.with(Llama.attention(c), "queryKeyNorm", norm);
    return Llama.model(
        c,
        i -> attention,
        i -> {
          var routing = Routing.of(c.get(PER_TOKEN).get(i), Routing.Score.SOFTMAX);
          var normalised = routing.withNormalisation(new Routing.Normalisation(0));
          return Experts.of(c, c.get(COUNT).get(i), normalised, shared);
        });
  }
}
