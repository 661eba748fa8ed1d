package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.Multipliers;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.FeedForward.Beside;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * The text model of Gemma 4 26B-A4B (Google, 2026; transformers {@code
 * models/gemma4/modeling_gemma4.py}): a dense network beside the experts, each of them with norms
 * of its own, and layers without a window, which have heads of their own.
 */
final class Gemma4 {
  private static final Key<Double> CAP =
      Key.positive("final_logit_softcapping", "what logits are held below").orNone();
  private static final Key<Boolean> EXPERTS =
      Key.flag("enable_moe_block", "whether there are experts").only(true).always();
  private static final Key<Integer> EMBEDDINGS =
      Key.whole("hidden_size_per_layer_input", 0, Limits.MAX_WIDTH, "embeddings of each layer")
          .only(0)
          .always();
  private static final Key<Integer> SHARING =
      Key.whole("num_kv_shared_layers", 0, Limits.MAX_LAYERS, "layers without keys").only(0);
  private static final Key<String> AHEAD =
      Key.text("use_bidirectional_attention", "what sees what comes after").only("vision");

  static final Family FAMILY =
      new Family(
              "gemma4",
              "Gemma4ForCausalLM",
              GlobalHeads.KEYS
                  .and(Llama.TIED.or(true), CAP, EXPERTS, EMBEDDINGS, SHARING, AHEAD)
                  .and(Experts.KEYS)
                  .and(Experts.GELU.spelled("hidden_activation").or("gelu_pytorch_tanh"))
                  .and(Experts.PER_TOKEN.spelled("top_k_experts"), Experts.DENSE_WIDTH.always())
                  .and(Experts.NORMALISED.constant(true))
                  .neutral("about layers without keys", "use_double_wide_mlp")
                  .neutral("about embeddings of each layer", "vocab_size_per_layer_input"),
              Gemma4::model,
              List.of(
                  Names.GEMMA.under("model.", "model.language_model.", "released"), Names.GEMMA))
          .called("gemma4_text")
          .within(Composite.GEMMA);

  private Gemma4() {}

  private static Architecture model(Settings c) {
    // The class lets the last layer see everything, whatever the list says.
    IntPredicate listed = Llama.listed(c, Llama.WINDOWED, i -> (i + 1) % 6 != 0);
    IntPredicate windowed = i -> i < c.get(Llama.LAYERS) - 1 && listed.test(i);
    var routing = Parts.with(Experts.softmax(c), "factors", true);
    var beside = new Beside(c.get(Experts.DENSE_WIDTH));
    var experts = Parts.with(Experts.of(c, routing), "beside", beside);
    var plain = Llama.model(c, i -> GlobalHeads.attention(c, i, windowed.test(i)), i -> experts);
    var normed = Parts.with(plain, "normPlacement", NormPlacement.INPUT_AND_OUTPUT);
    var scaled = new Multipliers(Math.sqrt(c.get(Llama.HIDDEN)), 1, 1);
    var factored = Parts.with(Parts.with(normed, "multipliers", scaled), "layerFactors", true);
    return Parts.with(factored, "logitCap", c.find(CAP));
  }
}
