package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * ERNIE 4.5, text (Baidu, "ERNIE 4.5 Technical Report", 2025; transformers {@code
 * models/ernie4_5_moe/modeling_ernie4_5_moe.py}): softmax with a bias for the choice, interleaved
 * rotary dimensions.
 */
final class Ernie {
  private static final Key<Boolean> BIASES = Key.flag("use_bias", "biases everywhere").only(false);
  private static final Key<Double> LEAST =
      Key.positive("moe_norm_min", "what a token's weights are divided by at least").or(1e-12);
  private static final Key<Integer> FIRST =
      Key.whole("moe_layer_start_index", 0, Limits.MAX_LAYERS, "first layer with experts");
  private static final Key<Integer> LAST =
      Key.whole("moe_layer_end_index", -1, Limits.MAX_LAYERS, "last such layer, -1 for the model's")
          .or(-1);

  static final Family FAMILY =
      new Family(
              "ernie4_5_moe",
              "Ernie4_5_MoeForCausalLM",
              Llama.KEYS
                  .and(Llama.TIED.or(true), BIASES, LEAST, FIRST, LAST)
                  .and(Experts.KEYS)
                  .and(
                      Experts.COUNT.spelled("moe_num_experts", "num_experts"),
                      Experts.PER_TOKEN.spelled("moe_k", "num_experts_per_tok"),
                      Experts.SHARED.spelled("moe_num_shared_experts"),
                      Experts.NORMALISED.constant(true),
                      Experts.STEP.spelled("moe_layer_interval"),
                      Experts.DENSE_WIDTH)
                  .and(Key.text("moe_gate", "how experts are chosen").only("topk"))
                  .and(Key.text("moe_gate_act", "score of an expert").only("softmax"))
                  .and(Key.flag("moe_use_aux_free", "whether a bias steers the choice").only(true))
                  .neutral("no token is dropped but in training", "moe_capacity")
                  .neutral("layers that are not loaded", "num_nextn_predict_layers"),
              Ernie::model,
              List.of(
                  Names.released(Names.LLAMA, Names.DENSE, Names.EXPERTS, Names.SHARED)
                      .and(
                          "router.bias",
                          "model.layers.{layer}.mlp.moe_statics.e_score_correction_bias",
                          Arrangement.ROW)))
          .notLoading("model.mtp_");

  private Ernie() {}

  private static Architecture model(Settings c) {
    var routing =
        Experts.softmax(c)
            .withBias(Routing.Bias.SELECTION)
            .withNormalisation(new Routing.Normalisation(0, c.get(LEAST)));
    var experts = Experts.of(c, routing);
    var attention = Llama.attention(c, Llama.rotary(c, Rotary.Pairing.INTERLEAVED));
    int layers = c.get(Llama.LAYERS);
    int first = c.atMost(FIRST, layers);
    int end = c.atMost(LAST, layers);
    int last = end == -1 ? layers - 1 : end;
    return Llama.model(
        c,
        i -> attention,
        i -> Experts.isTurn(c, i) && i >= first && i <= last ? experts : Experts.dense(c));
  }
}
