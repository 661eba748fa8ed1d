package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.Multipliers;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * Command A+ (Cohere, 2026; transformers {@code models/cohere2_moe/modeling_cohere2_moe.py}):
 * attention and experts side by side, which read one norm; layers that see everything know no
 * positions, but for those without experts.
 */
final class Cohere2Moe {
  private static final Key<Double> RMS =
      Key.positive("rms_norm_eps", "epsilon of norms about zero, which else are about the mean")
          .or(1e-5);
  private static final Key<Double> CENTRED =
      Key.positive("layer_norm_eps", "epsilon of norms about the mean").or(1e-5);
  private static final Key<Double> LOGITS =
      Key.positive("logit_scale", "what logits are multiplied by").or(0.0625);
  private static final Key<Integer> FIRST_PERIOD =
      Key.count(
              "prefix_dense_sliding_window_pattern",
              Experts.MAX_STEP,
              "of so many layers without experts the last sees everything")
          .or(1);
  static final Family FAMILY =
      new Family(
          "cohere2_moe",
          "Cohere2MoeForCausalLM",
          Llama.KEYS
              .and(Llama.HEAD_SIZE.or(128), Llama.BIASES, Llama.TIED.or(true), RMS, CENTRED, LOGITS)
              // transformers 5.18 passes over rope_scaling.
              .and(RotarySettings.SCALING.spelled("rope_parameters"))
              .and(Llama.WINDOW.or(4096), Llama.TYPES, Llama.PERIOD.or(4), FIRST_PERIOD)
              .and(AveragedExperts.KEYS)
              .and(Experts.DENSE_FIRST.or(0), Experts.KINDS),
          Cohere2Moe::model,
          List.of(Names.released(Names.LLAMA, Names.DENSE, Names.EXPERTS, Names.SHARED)));

  private Cohere2Moe() {}

  private static Architecture model(Settings c) {
    int first = c.get(Experts.DENSE_FIRST);
    IntPredicate dense = Experts.withoutExperts(c, first);
    IntPredicate windows =
        Llama.listed(
            c,
            Llama.WINDOWED,
            i ->
                i < first
                    ? (i + 1) % c.get(FIRST_PERIOD) != 0
                    : (i - first + 1) % c.get(Llama.PERIOD) != 0);
    var near = Llama.attention(c, Llama.rotary(c, Rotary.Pairing.INTERLEAVED));
    var attention = Llama.turnedNear(c, near, windows);
    IntPredicate turned = i -> dense.test(i) && !windows.test(i) && c.get(FIRST_PERIOD) == 1;
    var plain =
        Llama.model(
            c,
            i -> turned.test(i) ? near : attention.apply(i),
            i -> dense.test(i) ? AveragedExperts.dense(c) : AveragedExperts.of(c));
    boolean centred = c.stated(RMS).isEmpty();
    var normed = centred ? plain.withNormEpsilon(c.get(CENTRED)) : plain;
    var placed = Parts.with(normed, "normPlacement", NormPlacement.SHARED_INPUT);
    var multipliers = Multipliers.of(1, 1, c.get(LOGITS));
    return Parts.with(Parts.with(placed, "centredNorms", centred), "multipliers", multipliers);
  }
}
