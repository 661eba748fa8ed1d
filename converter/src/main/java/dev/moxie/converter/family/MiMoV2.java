package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention.GroupedQuery;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import java.util.List;

/**
 * MiMo-V2-Flash (Xiaomi, 2025; transformers {@code
 * models/mimo_v2_flash/modeling_mimo_v2_flash.py}): values narrower than keys and multiplied;
 * layers with a window have twice the heads of keys, and sinks.
 */
final class MiMoV2 {
  private static final Key<Double> VALUE_FACTOR =
      Key.positive("attention_value_scale", "what values are multiplied by").or(0.707).orNull();

  static final Family FAMILY =
      new Family(
              "mimo_v2_flash",
              "MiMoV2FlashForCausalLM",
              MiMoKeys.ALL
                  .and(Llama.INPUT_BIASES.spelled("attention_bias").or(false), VALUE_FACTOR)
                  .and(
                      DeepSeekV3.EXPERTS.without(
                          Experts.PREDICTION, Experts.SHARED, DeepSeekV2.FREQUENCY))
                  .and(Experts.SCALE.or(1.0), Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1))
                  .and(Experts.DENSE_FIRST.constant(1)),
              MiMoV2::model,
              List.of(
                  Names.released(
                      Names.LLAMA,
                      Names.DEEPSEEK,
                      Names.inLayer("attention.sinks", "self_attn.attention_sink_bias"))))
          .notLoading("model.mtp.");

  private MiMoV2() {}

  private static Architecture model(Settings c) {
    var windows = Llama.listed(c, Llama.WINDOWED, i -> i != 0 && (i + 1) % 6 != 0);
    var rotary = RotarySettings.byKind(c, windows, Rotary.Pairing.HALVES);
    var plain = Llama.attention(c, null);
    Integer size = c.get(MiMoKeys.VALUE_SIZE);
    var narrow = Parts.with(plain, "valueSize", size == plain.headSize() ? null : size);
    Double factor = c.find(VALUE_FACTOR);
    boolean none = factor == null || factor == 1;
    GroupedQuery scaled = Parts.with(narrow, "valueFactor", none ? null : factor);
    GroupedQuery all = Parts.with(scaled, "sinks", c.on(MiMoKeys.SINKS));
    var wide = Parts.with(scaled, "keyValueHeads", MiMoKeys.windowKeyHeads(c));
    var near = Parts.with(wide, "sinks", c.on(MiMoKeys.WINDOW_SINKS));
    var windowed = near.withWindow(c.get(Llama.WINDOW));
    return Experts.model(
        c,
        i -> (windows.test(i) ? windowed : all).withRotary(rotary.apply(i)),
        Experts.of(c, DeepSeekV3.routing(c)));
  }
}
