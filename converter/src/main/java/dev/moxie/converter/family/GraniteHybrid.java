package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;

/**
 * Granite 4 with experts (IBM, "Granite 4.0", 2025; transformers {@code
 * models/granitemoehybrid/modeling_granitemoehybrid.py}): {@link GraniteShared}, most of whose
 * layers are Mamba-2, while the others attend, as a rule without positions.
 */
final class GraniteHybrid {
  private static final String TURNED = "rope";
  private static final Key<String> POSITIONS =
      Key.word("position_embedding_type", "whether positions turn heads", Set.of(TURNED, "nope"))
          .or("nope");
  private static final Layout RELEASED =
      GraniteShared.RELEASED
          .and(Mamba.names("mamba."))
          .and(
              "mamba.convolution.weight",
              "model.layers.{layer}.mamba.conv1d.weight",
              Arrangement.TAPS);

  static final Family FAMILY =
      new Family(
          "granitemoehybrid",
          "GraniteMoeHybridForCausalLM",
          Granite.KEYS
              .and(Mamba.KEYS)
              .and(Mamba.HEADS.or(128), Mamba.GROUPS.or(1), Mamba.STATE.or(256))
              .and(Mamba.HEAD_SIZE, Mamba.EXPAND, Mamba.STEPS, POSITIONS)
              .and(GraniteShared.WIDTH.or(1024), RotarySettings.THETA.or(10_000.0))
              .and(Llama.TYPES.spelled("layer_types", "layers_block_type")),
          GraniteHybrid::model,
          List.of(RELEASED, Granite.fused(RELEASED)));

  private GraniteHybrid() {}

  private static Architecture model(Settings c) {
    Attention mamba = Mamba.expanded(c);
    Rotary rotary = Llama.rotary(c, Rotary.Pairing.HALVES);
    Attention attention = Granite.attention(c, c.get(POSITIONS).equals(TURNED) ? rotary : null);
    IntPredicate states = Mamba.states(c);
    return GraniteShared.model(c, i -> states.test(i) ? mamba : attention);
  }
}
