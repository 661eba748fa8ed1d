package dev.moxie.converter.family;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Sets of tensor names that families share: canonical names, and what they are in a checkpoint.
 * {@code {layer}} and {@code {expert}} stand for numbers.
 */
final class Names {
  private static final String LAYER = "model.layers.{layer}.";

  /** Matrices that many families have in one. */
  static final List<String> QUERY_KEY_VALUE =
      List.of("attention.query.weight", "attention.key.weight", "attention.value.weight");

  /** Embedding, head, attention and norms of Llama. */
  static final Map<String, String> LLAMA =
      join(
          ends("model.embed_tokens", "model.norm", "lm_head"),
          weights(
              "attention_norm", "input_layernorm",
              "attention.query", "self_attn.q_proj",
              "attention.key", "self_attn.k_proj",
              "attention.value", "self_attn.v_proj",
              "attention.output", "self_attn.o_proj",
              "attention.query_norm", "self_attn.q_norm",
              "attention.key_norm", "self_attn.k_norm",
              "feed_forward_norm", "post_attention_layernorm"),
          inLayer(
              "attention.query.bias", "self_attn.q_proj.bias",
              "attention.key.bias", "self_attn.k_proj.bias",
              "attention.value.bias", "self_attn.v_proj.bias",
              "attention.output.bias", "self_attn.o_proj.bias"));

  /** Norms of what halves of a layer make, where these have the names of OLMo 2. */
  static final Map<String, String> OUTPUT_NORMS =
      weights(
          "attention_output_norm", "post_attention_layernorm",
          "feed_forward_output_norm", "post_feedforward_layernorm");

  /** A dense network in the place of experts. */
  static final Map<String, String> DENSE = gated("dense", "mlp.");

  /** Router and experts, each with matrices of its own, as Qwen and DeepSeek name them. */
  static final Map<String, String> EXPERTS =
      join(weights("router", "mlp.gate"), gated("experts.{expert}", "mlp.experts.{expert}."));

  /** Shared experts as DeepSeek names them. */
  static final Map<String, String> SHARED = gated("shared", "mlp.shared_experts.");

  /** Router and experts as Mixtral names them. */
  static final Map<String, String> BLOCK_SPARSE =
      join(
          weights("router", "block_sparse_moe.gate"),
          numbered("experts.{expert}", "block_sparse_moe.experts.{expert}."));

  /**
   * Layers that convolve and others as LFM2 names them, but for what convolutions multiply with.
   */
  static final Map<String, String> LFM2 =
      join(
          ends("model.embed_tokens", "model.embedding_norm", "lm_head"),
          weights(
              "attention_norm", "operator_norm",
              "attention.query", "self_attn.q_proj",
              "attention.key", "self_attn.k_proj",
              "attention.value", "self_attn.v_proj",
              "attention.output", "self_attn.out_proj",
              "attention.query_norm", "self_attn.q_layernorm",
              "attention.key_norm", "self_attn.k_layernorm",
              "convolution.input", "conv.in_proj",
              "convolution.output", "conv.out_proj",
              "feed_forward_norm", "ffn_norm",
              "router", "feed_forward.gate"),
          inLayer(
              "convolution.input.bias", "conv.in_proj.bias",
              "convolution.taps.bias", "conv.conv.bias",
              "convolution.output.bias", "conv.out_proj.bias",
              "router.bias", "feed_forward.expert_bias"),
          numbered("dense", "feed_forward."),
          numbered("experts.{expert}", "feed_forward.experts.{expert}."));

  /** All of Gemma 4, but for what is beside the text model. */
  static final Layout GEMMA =
      released(
              LLAMA,
              OUTPUT_NORMS,
              DENSE,
              weights(
                  "feed_forward_norm", "pre_feedforward_layernorm",
                  "dense_output_norm", "post_feedforward_layernorm_1",
                  "experts_norm", "pre_feedforward_layernorm_2",
                  "experts_output_norm", "post_feedforward_layernorm_2",
                  "router", "router.proj"),
              inLayer(
                  "router_norm.weight", "router.scale",
                  "router.factors", "router.per_expert_scale",
                  "layer.factor", "layer_scalar"))
          .as("text alone")
          .and("experts.gate_up.weight", LAYER + "experts.gate_up_proj", Arrangement.HALVES)
          .and("experts.down.weight", LAYER + "experts.down_proj", Arrangement.STACKED);

  /** All of the text model of Llama 4. */
  static final Layout LLAMA4 =
      released(
              LLAMA,
              weights("router", "feed_forward.router"),
              gated("dense", "feed_forward."),
              gated("shared", "feed_forward.shared_expert."))
          .as("text alone")
          .and(
              "experts.gate_up.weight",
              LAYER + "feed_forward.experts.gate_up_proj",
              Arrangement.HALVES_TRANSPOSED)
          .and(
              "experts.down.weight",
              LAYER + "feed_forward.experts.down_proj",
              Arrangement.STACKED_TRANSPOSED);

  /** All of Mixtral as its authors store it, and as 8x7B was first released. */
  static final List<Layout> MIXTRAL_ORIGINAL = mixtral("layers.{layer}.");

  /** All of Nemotron-H, as released and as transformers 5 writes it. */
  static final List<Layout> NEMOTRON = nemotron();

  /** All of Jamba, as released and as transformers 5 writes it. */
  static final List<Layout> JAMBA = jamba();

  /** All of MiniMax-M3, as released within a model that sees, and the text model alone. */
  static final List<Layout> MINIMAX_M3 = minimaxM3(LAYER + "mlp.");

  /** Latent attention as DeepSeek names it. */
  static final Map<String, String> LATENT =
      weights(
          "attention.query_down", "self_attn.q_a_proj",
          "attention.query_norm", "self_attn.q_a_layernorm",
          "attention.query_up", "self_attn.q_b_proj",
          "attention.latent_down", "self_attn.kv_a_proj_with_mqa",
          "attention.latent_norm", "self_attn.kv_a_layernorm",
          "attention.latent_up", "self_attn.kv_b_proj");

  /** An indexer as DeepSeek names it. */
  static final Map<String, String> INDEXER =
      join(
          weights(
              "attention.index_query", "self_attn.indexer.wq_b",
              "attention.index_key", "self_attn.indexer.wk",
              "attention.index_key_norm", "self_attn.indexer.k_norm",
              "attention.index_weights", "self_attn.indexer.weights_proj"),
          inLayer("attention.index_key_norm.bias", "self_attn.indexer.k_norm.bias"));

  /** Layers for multi-token prediction as DeepSeek names them. */
  static final Map<String, String> PREDICTION =
      weights(
          "prediction.embedding", "embed_tokens",
          "prediction.embedding_norm", "enorm",
          "prediction.hidden_norm", "hnorm",
          "prediction.combine", "eh_proj",
          "prediction.final_norm", "shared_head.norm",
          "prediction.head", "shared_head.head");

  /** Layers without experts, layers with them and layers for prediction as DeepSeek has them. */
  static final Map<String, String> DEEPSEEK =
      join(
          DENSE,
          EXPERTS,
          SHARED,
          PREDICTION,
          inLayer("router.bias", "mlp.gate.e_score_correction_bias"));

  /** All of LongCat-Flash. */
  static final Map<String, String> LONGCAT =
      join(
          ends("model.embed_tokens", "model.norm", "lm_head"),
          longcat("", 0),
          longcat("again.", 1),
          weights("router", "mlp.router.classifier"),
          inLayer("router.bias", "mlp.router.e_score_correction_bias"),
          gated("experts.{expert}", "mlp.experts.{expert}."));

  /** All of JetMoE, whose queries and outputs have experts. */
  static final Layout JETMOE = jetmoe("model.layers.{layer}.self_attention.experts.");

  private static final String GROK_LAYER = "transformer.decoder_layer.{layer}.";
  private static final String GROK_HEADS = GROK_LAYER + "multi_head_attention.";

  /**
   * All of Grok-1, by Haiku's paths, with a dot for each slash and before each number of a layer.
   * No file has them: they give the order of files.
   */
  static final Layout GROK =
      released(
              ends("language_model.in_out_embed", "language_model.rms_norm", "head"),
              under(
                  GROK_LAYER,
                  weights(
                      "attention_norm", "rms_norm",
                      "attention_output_norm", "rms_norm_1",
                      "feed_forward_norm", "rms_norm_2",
                      "feed_forward_output_norm", "rms_norm_3")))
          .and("router.weight", GROK_LAYER + "router.weight", Arrangement.TRANSPOSED)
          .and("attention.query.weight", GROK_HEADS + "query.weight", Arrangement.TRANSPOSED)
          .and("attention.key.weight", GROK_HEADS + "key.weight", Arrangement.TRANSPOSED)
          .and("attention.value.weight", GROK_HEADS + "value.weight", Arrangement.TRANSPOSED)
          .and("attention.output.weight", GROK_HEADS + "linear.weight", Arrangement.TRANSPOSED)
          .and(
              "experts.gate.weight",
              GROK_LAYER + "moe.linear.weight",
              Arrangement.STACKED_TRANSPOSED)
          .and(
              "experts.up.weight",
              GROK_LAYER + "moe.linear_v.weight",
              Arrangement.STACKED_TRANSPOSED)
          .and(
              "experts.down.weight",
              GROK_LAYER + "moe.linear_1.weight",
              Arrangement.STACKED_TRANSPOSED);

  /** All of a Switch Transformer. */
  static final Layout SWITCH =
      released(
          ends("shared", "decoder.final_layer_norm", "lm_head"),
          Map.of("encoder_norm.weight", "encoder.final_layer_norm.weight"),
          ofEncoder(switched("encoder.block.{layer}.", "layer.1.")),
          switched("decoder.block.{layer}.", "layer.2."),
          under(
              "decoder.block.{layer}.",
              weights(
                  "cross_norm", "layer.1.layer_norm",
                  "cross.query", "layer.1.EncDecAttention.q",
                  "cross.key", "layer.1.EncDecAttention.k",
                  "cross.value", "layer.1.EncDecAttention.v",
                  "cross.output", "layer.1.EncDecAttention.o")));

  /** A layer of an NLLB, but for attention to an encoder. */
  private static final Map<String, String> TRANSLATING =
      join(
          both("attention_norm", "self_attn_layer_norm"),
          both("attention.query", "self_attn.q_proj"),
          both("attention.key", "self_attn.k_proj"),
          both("attention.value", "self_attn.v_proj"),
          both("attention.output", "self_attn.out_proj"),
          both("feed_forward_norm", "ff_layer_norm"),
          both("dense.up", "ffn.fc1"),
          both("dense.down", "ffn.fc2"),
          both("router", "ffn.router.classifier"),
          both("experts.{expert}.up", "ffn.experts.expert_{expert}.fc1"),
          both("experts.{expert}.down", "ffn.experts.expert_{expert}.fc2"));

  /** All of an NLLB with experts. */
  static final Layout NLLB =
      released(
          ends("model.shared", "model.decoder.layer_norm", "lm_head"),
          Map.of(
              "final_norm.bias", "model.decoder.layer_norm.bias",
              "encoder_norm.weight", "model.encoder.layer_norm.weight",
              "encoder_norm.bias", "model.encoder.layer_norm.bias"),
          ofEncoder(under("model.encoder.layers.{layer}.", TRANSLATING)),
          under(
              "model.decoder.layers.{layer}.",
              join(
                  TRANSLATING,
                  both("cross_norm", "cross_attention_layer_norm"),
                  both("cross.query", "cross_attention.q_proj"),
                  both("cross.key", "cross_attention.k_proj"),
                  both("cross.value", "cross_attention.v_proj"),
                  both("cross.output", "cross_attention.out_proj"))));

  private Names() {}

  /** What a layer of LongCat-Flash does at first or again. */
  private static Map<String, String> longcat(String again, int number) {
    String attention = "self_attn." + number + ".";
    return join(
        gated(again + "dense", "mlps." + number + "."),
        weights(
            again + "attention_norm", "input_layernorm." + number,
            again + "attention.query_down", attention + "q_a_proj",
            again + "attention.query_norm", attention + "q_a_layernorm",
            again + "attention.query_up", attention + "q_b_proj",
            again + "attention.latent_down", attention + "kv_a_proj_with_mqa",
            again + "attention.latent_norm", attention + "kv_a_layernorm",
            again + "attention.latent_up", attention + "kv_b_proj",
            again + "attention.output", attention + "o_proj",
            again + "feed_forward_norm", "post_attention_layernorm." + number));
  }

  private static Layout jetmoe(String heads) {
    Arrangement apart = Arrangement.apart("attention.router.weight");
    return released(
            LLAMA,
            weights(
                "router", "mlp.router.layer",
                "attention.router", "self_attention.experts.router.layer"),
            inLayer(
                "attention.output.bias", "self_attention.experts.bias",
                "experts.sum.bias", "mlp.bias"))
        .and("experts.gate_up.weight", LAYER + "mlp.input_linear.weight", Arrangement.HALVES)
        .and("experts.down.weight", LAYER + "mlp.output_linear.weight", Arrangement.STACKED)
        .and("attention.query.weight", heads + "input_linear.weight", apart)
        .and("attention.output.weight", heads + "output_linear.weight", apart)
        .joined(
            LAYER + "self_attention.kv_proj.weight",
            List.of("attention.key.weight", "attention.value.weight"));
  }

  private static List<Layout> jamba() {
    Layout released =
        released(
                LLAMA,
                Mamba.names("mamba."),
                ends("model.embed_tokens", "model.final_layernorm", "lm_head"),
                gated("dense", "feed_forward."),
                gated("experts.{expert}", "feed_forward.experts.{expert}."),
                weights(
                    "feed_forward_norm", "pre_ff_layernorm",
                    "router", "feed_forward.router",
                    "mamba.parameters", "mamba.x_proj",
                    "mamba.step", "mamba.dt_proj",
                    "mamba.step_norm", "mamba.dt_layernorm",
                    "mamba.key_norm", "mamba.b_layernorm",
                    "mamba.query_norm", "mamba.c_layernorm"),
                inLayer("mamba.step_shift.weight", "mamba.dt_proj.bias"))
            .and("mamba.convolution.weight", LAYER + "mamba.conv1d.weight", Arrangement.TAPS);
    Layout fused =
        fused(released, LAYER + "feed_forward.")
            .and("router.weight", LAYER + "feed_forward.router.weight", Arrangement.ITSELF);
    return List.of(released, fused.as("transformers 5"));
  }

  private static List<Layout> mixtral(String layer) {
    Layout apart =
        released(
            ends("tok_embeddings", "norm", "output"),
            under(
                layer,
                weights(
                    "attention_norm", "attention_norm",
                    "attention.query", "attention.wq",
                    "attention.key", "attention.wk",
                    "attention.value", "attention.wv",
                    "attention.output", "attention.wo",
                    "feed_forward_norm", "ffn_norm",
                    "router", "feed_forward.gate")),
            under(layer, numbered("experts.{expert}", "feed_forward.experts.{expert}.")));
    String network = layer + "block_sparse_moe.";
    Layout stacked =
        apart
            .as("first release")
            .and("router.weight", network + "gate.weight", Arrangement.ITSELF)
            .and("experts.gate.weight", network + "w1", Arrangement.FLAT)
            .and("experts.up.weight", network + "w3", Arrangement.FLAT)
            .and("experts.down.weight", network + "w2", Arrangement.FLAT_TRANSPOSED);
    return List.of(apart, stacked);
  }

  private static List<Layout> nemotron() {
    String layer = "backbone.layers.{layer}.";
    String mixer = layer + "mixer.";
    Map<String, String> inLayers =
        join(
            Mamba.names("mixer."),
            weights(
                "attention_norm", "norm",
                "attention.query", "mixer.q_proj",
                "attention.key", "mixer.k_proj",
                "attention.value", "mixer.v_proj",
                "attention.output", "mixer.o_proj",
                "feed_forward_norm", "norm",
                "dense.up", "mixer.up_proj",
                "dense.down", "mixer.down_proj",
                "router", "mixer.gate",
                "shared.up", "mixer.shared_experts.up_proj",
                "shared.down", "mixer.shared_experts.down_proj",
                "experts.{expert}.up", "mixer.experts.{expert}.up_proj",
                "experts.{expert}.down", "mixer.experts.{expert}.down_proj"),
            inLayer("router.bias", "mixer.gate.e_score_correction_bias"));
    Layout released =
        released(ends("backbone.embeddings", "backbone.norm_f", "lm_head"), under(layer, inLayers))
            .and("mamba.convolution.weight", mixer + "conv1d.weight", Arrangement.TAPS);
    Layout fused =
        released
            .and("experts.up.weight", mixer + "experts.up_proj", Arrangement.STACKED)
            .and("experts.down.weight", mixer + "experts.down_proj", Arrangement.STACKED);
    return List.of(released, fused.under("backbone.", "model.", "transformers 5"));
  }

  private static List<Layout> minimaxM3(String network) {
    Layout released =
        released(
            LLAMA,
            BlockIndexers.names("self_attn.index_"),
            DENSE,
            BLOCK_SPARSE,
            gated("shared", "block_sparse_moe.shared_experts."),
            inLayer("router.bias", "block_sparse_moe.e_score_correction_bias"));
    Layout text =
        fused(
            released(
                LLAMA,
                BlockIndexers.names("self_attn.indexer."),
                DENSE,
                SHARED,
                EXPERTS,
                inLayer("router.bias", "mlp.gate.e_score_correction_bias")));
    return List.of(
        released.under("", "language_model.", "released"),
        text.joined(
                network + "gate_up_proj.weight", List.of("dense.gate.weight", "dense.up.weight"))
            .joined(
                network + "shared_experts.gate_up_proj.weight",
                List.of("shared.gate.weight", "shared.up.weight")));
  }

  /** Weights and biases of a module of a layer: canonical stem, then the checkpoint's. */
  static Map<String, String> both(String canonical, String module) {
    return join(weights(canonical, module), inLayer(canonical + ".bias", module + ".bias"));
  }

  /**
   * A layer of a Switch Transformer, but for attention to an encoder.
   *
   * @param half what the names of the second half begin with
   */
  private static Map<String, String> switched(String layer, String half) {
    return under(
        layer,
        join(
            weights(
                "attention_norm", "layer.0.layer_norm",
                "attention.query", "layer.0.SelfAttention.q",
                "attention.key", "layer.0.SelfAttention.k",
                "attention.value", "layer.0.SelfAttention.v",
                "attention.output", "layer.0.SelfAttention.o",
                "feed_forward_norm", half + "layer_norm",
                "dense.up", half + "mlp.wi",
                "dense.down", half + "mlp.wo",
                "router", half + "mlp.router.classifier",
                "experts.{expert}.up", half + "mlp.experts.expert_{expert}.wi",
                "experts.{expert}.down", half + "mlp.experts.expert_{expert}.wo"),
            inLayer(
                "attention.distances",
                "layer.0.SelfAttention.relative_attention_bias.weight",
                "router.bias",
                half + "mlp.router.classifier.bias")));
  }

  /** The same names in layers of an encoder. */
  static Map<String, String> ofEncoder(Map<String, String> names) {
    Map<String, String> moved = new HashMap<>();
    names.forEach((canonical, name) -> moved.put("encoder." + canonical, name));
    return moved;
  }

  /** Embedding, last norm and head: what the checkpoint has before {@code .weight}. */
  static Map<String, String> ends(String embedding, String norm, String head) {
    return Map.of(
        "embedding.weight", embedding + ".weight",
        "final_norm.weight", norm + ".weight",
        "head.weight", head + ".weight");
  }

  /** Weights of a layer: canonical stem, then the checkpoint's. */
  static Map<String, String> weights(String... pairs) {
    String[] names = pairs.clone();
    for (int i = 0; i < names.length; i++) {
      names[i] += ".weight";
    }
    return inLayer(names);
  }

  /** The same names in layers that are called otherwise. */
  static Map<String, String> under(String layer, Map<String, String> names) {
    Map<String, String> moved = new HashMap<>(names);
    moved.replaceAll((canonical, name) -> name.replace(LAYER, layer));
    return moved;
  }

  /** The three matrices of a gated network, called as Llama does. */
  static Map<String, String> gated(String canonical, String prefix) {
    return weights(
        canonical + ".gate", prefix + "gate_proj",
        canonical + ".up", prefix + "up_proj",
        canonical + ".down", prefix + "down_proj");
  }

  /** The same, called as Mixtral does. */
  static Map<String, String> numbered(String canonical, String prefix) {
    return weights(
        canonical + ".gate", prefix + "w1",
        canonical + ".up", prefix + "w3",
        canonical + ".down", prefix + "w2");
  }

  /** Tensors of a layer: canonical name, then the checkpoint's. */
  static Map<String, String> inLayer(String... pairs) {
    Map<String, String> names = new HashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      names.put("layers.{layer}." + pairs[i], LAYER + pairs[i + 1]);
    }
    return names;
  }

  /** The layout with a tensor for each leaf. */
  @SafeVarargs
  static Layout released(Map<String, String>... sets) {
    return Layout.of("released", join(sets));
  }

  /**
   * The same weights as transformers 5 writes them: experts fused, of each the gate rows first
   * ({@code save_pretrained} with {@code save_original_format=False}).
   */
  static Layout fused(Layout released) {
    return fused(released, LAYER + "mlp.").as("transformers 5");
  }

  /** The same where router and experts are called otherwise. */
  static Layout fused(Layout apart, String network) {
    return apart
        .and("router.weight", network + "gate.weight", Arrangement.ITSELF)
        .and("experts.gate_up.weight", network + "experts.gate_up_proj", Arrangement.HALVES)
        .and("experts.down.weight", network + "experts.down_proj", Arrangement.STACKED);
  }

  /** All of them; later ones replace earlier ones. */
  @SafeVarargs
  static Map<String, String> join(Map<String, String>... sets) {
    Map<String, String> all = new HashMap<>();
    for (Map<String, String> set : sets) {
      all.putAll(set);
    }
    return Map.copyOf(all);
  }
}
