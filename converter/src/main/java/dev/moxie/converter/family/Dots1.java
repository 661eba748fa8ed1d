package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Map;

/**
 * dots.llm1 (rednote-hilab, "dots.llm1 Technical Report", 2025; transformers {@code
 * models/dots1/modeling_dots1.py}): DeepSeek-V3's experts behind grouped attention whose queries
 * and keys are normed head by head, with windows from some layer on.
 */
final class Dots1 {
  private static final Key<Integer> FIRST_WINDOW =
      Key.whole("max_window_layers", 0, Limits.MAX_LAYERS, "layers before the first with a window")
          .or(62);

  /** The release names the choice where others name the score. */
  private static final Map<String, Routing.Score> SCORES =
      Map.of("noaux_tc", Routing.Score.SIGMOID, "sigmoid", Routing.Score.SIGMOID);

  private static final Key<String> SCORE =
      Key.word("scoring_func", "score of an expert, a sigmoid either way", SCORES.keySet())
          .or("noaux_tc");

  static final Family FAMILY =
      new Family(
          "dots1",
          "Dots1ForCausalLM",
          Llama.KEYS
              .and(Llama.BIASES, Llama.WINDOW.or(4096).orNull(), Llama.TYPES, FIRST_WINDOW)
              .and(DeepSeekV2.EXPERTS)
              .and(Experts.SHARED.always(), Experts.DENSE_FIRST.or(0))
              .and(Experts.NORMALISED.or(false), Experts.SCALE.or(1.0))
              .and(Experts.GROUPS.or(1), Experts.KEPT_GROUPS.or(1))
              .and(SCORE)
              .and(Key.text("topk_method", "how experts are chosen").only("noaux_tc")),
          Dots1::model,
          List.of(Names.released(Names.LLAMA, Names.DEEPSEEK)));

  private Dots1() {}

  private static Architecture model(Settings c) {
    var normed = Llama.normed(c, Llama.attention(c), Attention.NormSpan.HEAD);
    var attention =
        Llama.windowed(c, normed, i -> c.find(Llama.WINDOW) != null && i >= c.get(FIRST_WINDOW));
    Routing routing = Parts.with(DeepSeekV3.routing(c), "score", SCORES.get(c.get(SCORE)));
    return Experts.model(c, attention, Experts.of(c, routing));
  }
}
