package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * K-EXAONE-236B-A23B (LG AI Research, "K-EXAONE Technical Report", 2026; transformers {@code
 * models/exaone_moe/modeling_exaone_moe.py}): DeepSeek-V3's experts behind grouped attention;
 * layers that see everything know no positions.
 */
final class ExaoneMoe {
  /** Releases have letters there, which say no more than the list of layers beside them. */
  private static final Key<Integer> PERIOD =
      Key.of(
              "sliding_window_pattern",
              "a whole number from 1, or letters beside layer_types",
              ExaoneMoe::period,
              "of so many layers the last has no window")
          .or(4);

  static final Family FAMILY =
      new Family(
              "exaone_moe",
              "ExaoneMoeForCausalLM",
              Llama.KEYS
                  .and(Llama.WINDOW.or(4096), Llama.TYPES, PERIOD)
                  .and(DeepSeekV3.EXPERTS.without(Experts.PREDICTION))
                  .and(Experts.COUNT.spelled("num_experts"), Experts.KINDS)
                  .and(Experts.SHARED.spelled("num_shared_experts").or(1), Experts.SCALE.or(2.5))
                  .and(Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1), Experts.DENSE_FIRST.or(1))
                  .neutral("repeats mlp_layer_types", "is_moe_layer")
                  .neutral("layers that are not loaded", "num_nextn_predict_layers"),
              ExaoneMoe::model,
              List.of(
                  Names.released(
                      Names.LLAMA,
                      Names.DEEPSEEK,
                      Names.inLayer("router.bias", "mlp.e_score_correction_bias"))))
          .notLoading("mtp.");

  private ExaoneMoe() {}

  private static Integer period(Config config, String key) {
    boolean letters = config.isText(key) && config.has("layer_types");
    return letters ? Integer.valueOf(1) : Integer.valueOf(config.count(key, Experts.MAX_STEP));
  }

  private static Architecture model(Settings c) {
    var near = Llama.normed(c, Llama.attention(c), Attention.NormSpan.HEAD);
    IntPredicate windows = Llama.listed(c, Llama.WINDOWED, i -> (i + 1) % c.get(PERIOD) != 0);
    var attention = Llama.turnedNear(c, near, windows);
    return Experts.model(c, attention, Experts.of(c, DeepSeekV3.routing(c)));
  }
}
