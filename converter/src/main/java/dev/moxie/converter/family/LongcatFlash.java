package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Map;

/**
 * LongCat-Flash (Meituan, "LongCat-Flash Technical Report", 2025; transformers {@code
 * models/longcat_flash/modeling_longcat_flash.py}): each layer has two latent attentions and two
 * networks, beside which stand experts, some of which do nothing.
 */
final class LongcatFlash {
  private static final Key<Integer> ATTENTIONS =
      Key.count("attentions", 2 * Limits.MAX_LAYERS, "attentions, two of each layer")
          .spelled("num_hidden_layers")
          .orNone();
  private static final Key<Integer> IDENTITIES =
      Key.whole("zero_expert_num", 0, Limits.MAX_EXPERTS / 2, "experts without weights").or(256);

  static final Family FAMILY =
      new Family(
              "longcat_flash",
              "LongcatFlashForCausalLM",
              Latent.KEYS
                  .and(Latent.QUERY_RANK.always(), Llama.LAYERS.spelled("num_layers"), ATTENTIONS)
                  .and(Experts.COUNT.spelled("n_routed_experts"), IDENTITIES)
                  .and(Experts.PER_TOKEN.spelled("moe_topk"), Experts.ACTIVATION.or("silu"))
                  .and(Experts.WIDTH.spelled("expert_ffn_hidden_size"), Experts.SCALE.or(6.0))
                  .and(Experts.DENSE_WIDTH.spelled("ffn_hidden_size").always())
                  .and(Experts.NORMALISED.only(false))
                  .and(Key.text("zero_expert_type", "what they make").only("identity"))
                  .and(Key.text("attention_method", "kind of attention").only("MLA"))
                  .and(Key.flag("router_bias", "whether logits have a bias").only(false))
                  .and(Key.flag("mla_scale_q_lora", "whether queries are multiplied").only(true))
                  .and(Key.flag("mla_scale_kv_lora", "whether latents are").only(true)),
              LongcatFlash::model,
              List.of(Names.released(Names.LONGCAT)))
          .notLoading("model.mtp.");

  private LongcatFlash() {}

  private static Architecture model(Settings c) {
    Integer attentions = c.find(ATTENTIONS);
    if (attentions != null && attentions != 2 * c.get(Llama.LAYERS)) {
      throw c.wrong(ATTENTIONS, "twice num_layers " + c.get(Llama.LAYERS), attentions);
    }
    int count = c.get(Experts.COUNT) + c.get(IDENTITIES);
    Routing routing =
        Routing.of(c.atMost(Experts.PER_TOKEN, count), Routing.Score.SOFTMAX)
            .withBias(Routing.Bias.SELECTION)
            .withScale(c.get(Experts.SCALE));
    var shortcut = new FeedForward.Shortcut(c.get(Experts.DENSE_WIDTH));
    Map<String, Object> more = Map.of("identities", c.get(IDENTITIES), "shortcut", shortcut);
    var attention = Latent.multiplied(c, Latent.attention(c, Rotary.Pairing.INTERLEAVED));
    return Llama.model(c, attention, Parts.with(Experts.of(c, count, routing, null), more));
  }
}
