package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;

/**
 * DeepSeek-V4 (DeepSeek-AI, "DeepSeek-V4", 2026; transformers {@code
 * models/deepseek_v4/modeling_deepseek_v4.py}): residual streams that are mixed, attention to
 * entries that stand for several tokens, and experts that the first layers choose by token.
 */
final class DeepSeekV4 {
  private static final Key<Integer> STREAMS =
      Key.count("hc_mult", Limits.MAX_STREAMS, "residual streams").or(4);
  private static final Key<Integer> ITERATIONS =
      Key.count("hc_sinkhorn_iters", Limits.MAX_ITERATIONS, "normalisations of their mixing")
          .or(20);
  private static final Key<Double> STREAM_EPSILON =
      Key.positive("hc_eps", "epsilon of how they are mixed").or(1e-6);
  private static final Key<Double> LIMIT =
      Key.positive("swiglu_limit", "what gates and products are held within").or(10.0);

  static final Family FAMILY =
      new Family(
              "deepseek_v4",
              "DeepseekV4ForCausalLM",
              Compressed.KEYS
                  .and(Experts.ACTIVATION, Experts.COUNT.spelled("n_routed_experts"))
                  .and(Experts.PER_TOKEN, Experts.WIDTH, Experts.SHARED.only(1))
                  .and(Experts.SCALE.or(1.5), STREAMS, ITERATIONS, STREAM_EPSILON, LIMIT)
                  .and(Compressed.KINDS, Compressed.ASSIGNED)
                  .and(Key.text("scoring_func", "score of an expert").only("sqrtsoftplus"))
                  .and(Key.flag("mlp_bias", "biases of the shared expert").or(false).only(false))
                  .neutral("weights are normalised whatever it says", "norm_topk_prob")
                  .neutral("its layers are left in the files", "num_nextn_predict_layers")
                  .neutral("how experts are stored, not what they compute", "expert_dtype"),
              DeepSeekV4::model,
              List.of(Compressed.RELEASED))
          .notLoading("mtp.");

  private DeepSeekV4() {}

  private static Architecture model(Settings c) {
    var routing =
        Routing.of(c.atMost(Experts.PER_TOKEN, c.get(Experts.COUNT)), Routing.Score.SQRT_SOFTPLUS)
            .withNormalisation(new Routing.Normalisation(1e-20))
            .withScale(c.get(Experts.SCALE));
    var shared = new FeedForward.SharedExperts(c.get(Experts.WIDTH), false, true);
    var clamp = new FeedForward.Clamp(c.get(LIMIT), 1, 0);
    var unclamped = Parts.with(Experts.of(c, routing, null), "clamp", clamp);
    var plain = Parts.with(unclamped, "shared", shared);
    var chosen = plain.withRouting(routing.withBias(Routing.Bias.SELECTION));
    var assigned = plain.withRouting(Parts.with(routing, "assigned", true));
    var byToken = Compressed.assigned(c);
    var model = Llama.model(c, Compressed.attention(c), i -> byToken.test(i) ? assigned : chosen);
    var streams =
        new Architecture.Streams(c.get(STREAMS), c.get(ITERATIONS), c.get(STREAM_EPSILON));
    return Parts.with(model, "streams", streams);
  }
}
