package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Rotary;

/**
 * Mixtral as its authors store it: {@code consolidated.safetensors}, and {@code params.json} for
 * config.json, which names no {@code model_type} (Mistral AI, mistral-inference, {@code
 * moe_one_file_ref.py}). Positions turn pairs of neighbours; transformers has the rows of queries
 * and keys in the order in which they are pairs of halves.
 */
final class MixtralOriginal {
  static final Family FAMILY =
      new Family(
          "mixtral_original",
          "Transformer",
          Keys.of(Llama.VOCABULARY, Llama.HIDDEN.spelled("dim"), Llama.LAYERS.spelled("n_layers"))
              .and(Llama.HEADS.spelled("n_heads"), Llama.KEY_HEADS.spelled("n_kv_heads"))
              .and(Llama.HEAD_SIZE.spelled("head_dim"), Llama.EPSILON.spelled("norm_eps"))
              .and(Llama.POSITIONS.spelled("max_seq_len").or(128_000), Llama.TIED.constant(false))
              .and(
                  RotarySettings.THETA.spelled("rope_theta").or(1e6),
                  Experts.NORMALISED.constant(true))
              .and(Experts.ACTIVATION.constant("silu"), Experts.WIDTH.spelled("hidden_dim"))
              .and(Experts.COUNT.spelled("moe.num_experts"))
              .and(Experts.PER_TOKEN.spelled("moe.num_experts_per_tok"))
              .configs("moe")
              .neutral("how it is run", "max_batch_size"),
          MixtralOriginal::model,
          Names.MIXTRAL_ORIGINAL);

  private MixtralOriginal() {}

  private static Architecture model(Settings c) {
    double theta = c.get(RotarySettings.THETA);
    var rotary = new Rotary(theta, Llama.headSize(c), Rotary.Pairing.INTERLEAVED, null);
    var attention = Llama.attention(c, rotary);
    return Llama.model(c, attention, Experts.of(c, Experts.softmax(c)));
  }
}
