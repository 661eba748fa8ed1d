package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.List;
import java.util.Map;

/**
 * JetMoE (Shen et al., "JetMoE: Reaching Llama2 Performance with 0.1M Dollars", 2024; transformers
 * {@code models/jetmoe/modeling_jetmoe.py}): experts of queries and outputs as well as of the
 * second half of a layer, both weighed by a softmax of the chosen.
 */
final class JetMoe {
  /** Norms of layers keep the default of their class, whatever config.json says. */
  private static final double EPSILON = 1e-6;

  private static final Key<Double> LAST =
      Key.positive("last", "epsilon of the last norm").spelled("rms_norm_eps").or(EPSILON);

  static final Family FAMILY =
      new Family(
          "jetmoe",
          "JetMoeForCausalLM",
          Llama.KEYS
              .without(Llama.HEADS)
              .and(Llama.KEY_HEADS.always(), Llama.TIED.or(true))
              .and(Llama.HEAD_SIZE.spelled("kv_channels", "head_dim").or(128))
              .and(Llama.EPSILON.constant(EPSILON), LAST)
              .and(Experts.KEYS)
              .and(Experts.COUNT.spelled("num_local_experts"), Experts.NORMALISED.constant(true))
              .and(Experts.WIDTH.spelled("intermediate_size"))
              .and(Experts.ACTIVATION.spelled("activation_function").or("silu"))
              .neutral("those of keys, times a token's experts", "num_attention_heads")
              .neutral("of training alone", "aux_loss_coef"),
          JetMoe::model,
          List.of(Names.JETMOE));

  private JetMoe() {}

  private static Architecture model(Settings c) {
    int count = c.get(Experts.COUNT);
    int k = c.atMost(Experts.PER_TOKEN, count);
    int keyHeads = c.get(Llama.KEY_HEADS);
    int size = c.get(Llama.HEAD_SIZE);
    Rotary rotary = RotarySettings.of(c, size, Rotary.Pairing.HALVES);
    int heads = Math.multiplyExact(k, keyHeads);
    var plain =
        new Attention.GroupedQuery(heads, keyHeads, size, 1 / Math.sqrt(size), null, rotary);
    var own = new Attention.HeadExperts(count, k);
    var attention = Parts.with(plain, Map.of("headExperts", own, "outputBias", true));
    var experts = Parts.with(Experts.of(c, Experts.softmax(c)), "outputBias", true);
    double last = c.get(LAST);
    return Parts.with(
        Llama.model(c, attention, experts), "finalNormEpsilon", last == EPSILON ? null : last);
  }
}
