package dev.moxie.converter.family;

import static dev.moxie.converter.family.Arrangement.HALVES_TRANSPOSED;
import static dev.moxie.converter.family.Arrangement.STACKED_TRANSPOSED;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * The text models of Llama 4 Scout and Maverick (Meta, "The Llama 4 herd", 2025; transformers
 * {@code models/llama4/modeling_llama4.py}): weights multiply what experts read, some layers know
 * no positions and the others see chunks.
 */
final class Llama4 {
  private static final Key<Integer> CHUNK =
      Key.count("attention_chunk_size", 1 << 30, "tokens of a chunk").or(8192).orNull();
  private static final Key<List<Integer>> TURNED =
      Key.numbers("no_rope_layers", "0 for each layer without positions").or(List.of());
  private static final Key<Integer> UNTURNED =
      Key.count("no_rope_layer_interval", Experts.MAX_STEP, "one layer of these has no positions")
          .or(4);
  private static final Key<List<Integer>> SPARSE =
      Key.numbers("moe_layers", "layers with experts, from 0").or(List.of());
  private static final Key<Integer> STEP =
      Key.count("interleave_moe_layer_step", Experts.MAX_STEP, "one layer of these has experts")
          .or(1);
  private static final Key<Boolean> TEMPERED =
      Key.flag("attn_temperature_tuning", "whether queries grow without positions").or(true);
  private static final Key<Double> GROWTH = Key.positive("attn_scale", "how fast").or(0.1);
  private static final Key<Double> FLOOR = Key.positive("floor_scale", "from where on").or(8192.0);

  private static final String NETWORK = "model.layers.{layer}.feed_forward.";
  private static final Layout RELEASED =
      Names.released(
              Names.LLAMA,
              Names.under(NETWORK, Names.weights("router", "router")),
              Names.under(NETWORK, Names.gated("dense", "")),
              Names.under(NETWORK, Names.gated("shared", "shared_expert.")))
          .and("experts.gate_up.weight", NETWORK + "experts.gate_up_proj", HALVES_TRANSPOSED)
          .and("experts.down.weight", NETWORK + "experts.down_proj", STACKED_TRANSPOSED);

  static final Family TEXT =
      new Family(
          "llama4_text",
          "Llama4ForCausalLM",
          Llama.KEYS
              .and(Llama.TYPES, Llama.BIASES, Llama.NORMED.or(true), CHUNK, TURNED, UNTURNED)
              .and(TEMPERED, GROWTH, FLOOR, SPARSE, STEP)
              .and(Experts.KEYS)
              .and(Experts.COUNT.spelled("num_local_experts"), Experts.NORMALISED.constant(false))
              .and(Experts.WIDTH.spelled("intermediate_size"))
              .and(Experts.DENSE_WIDTH.spelled("intermediate_size_mlp")),
          Llama4::model,
          List.of(RELEASED));

  private Llama4() {}

  private static Architecture model(Settings c) {
    List<Integer> sparse = c.get(SPARSE);
    List<Integer> stated = c.get(TURNED);
    if (!stated.isEmpty() && stated.size() != c.get(Llama.LAYERS)) {
      throw c.wrong(TURNED, "as many entries as layers, " + c.get(Llama.LAYERS), stated);
    }
    IntPredicate turned =
        i -> stated.isEmpty() ? (i + 1) % c.get(UNTURNED) != 0 : stated.get(i) != 0;
    IntPredicate chunked = Llama.listed(c, "chunked_attention", turned);
    Integer chunk = Llama.neededBy(c, chunked, CHUNK);
    var norm =
        new Attention.QueryKeyNorm(Attention.NormSpan.HEAD, c.get(Llama.EPSILON), false, true);
    var growth = new Attention.Temperature(c.get(GROWTH), c.get(FLOOR));
    var near =
        Parts.with(
            Llama.attention(c, Llama.rotary(c, Rotary.Pairing.INTERLEAVED)),
            "queryKeyNorm",
            c.get(Llama.NORMED) ? norm : null);
    var far = Parts.with(Llama.attention(c, null), "temperature", c.get(TEMPERED) ? growth : null);
    var routing =
        Parts.with(
            Experts.route(c, Routing.Score.SIGMOID),
            "weightsApplyTo",
            Routing.WeightsApplyTo.EXPERT_INPUT);
    var experts = Experts.of(c, routing, new FeedForward.SharedExperts(c.get(Experts.WIDTH)));
    return Llama.model(
        c,
        i -> Parts.with(turned.test(i) ? near : far, "chunk", chunked.test(i) ? chunk : null),
        i ->
            (sparse.isEmpty() ? (i + 1) % c.get(STEP) == 0 : sparse.contains(i))
                ? experts
                : Experts.dense(c));
  }
}
