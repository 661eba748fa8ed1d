package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.Blocks;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Architecture.ResidualScale;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.Map;
import java.util.function.IntPredicate;

/**
 * What config.json says of models with lightning attention (transformers {@code
 * models/minimax/configuration_minimax.py}): keys, and the parts that follow from them.
 */
final class Lightning {
  private static final String OFTEN = "what a residual stream is multiplied by at ";
  private static final String ADDED = "what is added there is multiplied by";
  private static final Key<Double> FULL_KEPT = scale("full_attn_alpha_factor", OFTEN + "attention");
  private static final Key<Double> FULL_ADDED = scale("full_attn_beta_factor", ADDED);
  private static final Key<Double> KEPT =
      scale("linear_attn_alpha_factor", OFTEN + "lightning attention");
  private static final Key<Double> KEPT_ADDED = scale("linear_attn_beta_factor", ADDED);
  private static final Key<Double> NETWORK_KEPT = scale("mlp_alpha_factor", OFTEN + "experts");
  private static final Key<Double> NETWORK_ADDED = scale("mlp_beta_factor", ADDED);

  static final Keys KEYS =
      Keys.of(FULL_KEPT, FULL_ADDED, KEPT, KEPT_ADDED, NETWORK_KEPT, NETWORK_ADDED)
          .and(Key.flag("postnorm", "whether the residual stream is normed").only(true))
          .neutral("how many tokens are computed together", "block_size");

  /** Of the norm of what states give, which the class leaves at its default. */
  private static final double EPSILON = 1e-6;

  /** Tensors of a layer that keeps states. */
  static final Map<String, String> NAMES =
      Names.weights(
          "lightning.input", "self_attn.qkv_proj",
          "lightning.gate", "self_attn.output_gate",
          "lightning.norm", "self_attn.norm",
          "lightning.output", "self_attn.out_proj");

  private Lightning() {}

  private static Key<Double> scale(String name, String meaning) {
    return Key.positive(name, meaning).or(1.0);
  }

  /** Which layers keep states; every other one where nothing says which. */
  static IntPredicate states(Settings c) {
    return Llama.listed(c, "linear_attention", i -> i % 2 == 1);
  }

  static Attention attention(Settings c) {
    return new Attention.Lightning(c.get(Llama.HEADS), Llama.headSize(c), EPSILON);
  }

  /** How positions turn heads of the other layers: whole, or as many dimensions as are stated. */
  static Rotary rotary(Settings c) {
    int size = Llama.headSize(c);
    Integer stated = c.find(MiniMax.TURNED);
    int turned = stated == null ? size : c.atMost(MiniMax.TURNED, size);
    return RotarySettings.of(c, turned, Rotary.Pairing.HALVES);
  }

  /** The model, whose residual stream is normed before each half and scaled where it meets one. */
  static Architecture scaled(Settings c, Architecture model) {
    ResidualScale full = ResidualScale.of(c.get(FULL_KEPT), c.get(FULL_ADDED));
    ResidualScale states = ResidualScale.of(c.get(KEPT), c.get(KEPT_ADDED));
    ResidualScale network = ResidualScale.of(c.get(NETWORK_KEPT), c.get(NETWORK_ADDED));
    return Parts.with(model, "normPlacement", NormPlacement.RESIDUAL)
        .withBlocks(
            b -> {
              boolean keeps = b.attention() instanceof Attention.Lightning;
              Blocks one = Parts.with(b, "attentionResidual", keeps ? states : full);
              return Parts.with(one, "feedForwardResidual", network);
            });
  }
}
