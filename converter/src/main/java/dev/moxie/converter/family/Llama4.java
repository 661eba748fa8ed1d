package dev.moxie.converter.family;

import static dev.moxie.format.model.Routing.WeightsApplyTo.EXPERT_INPUT;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention.NormSpan;
import dev.moxie.format.model.Attention.QueryKeyNorm;
import dev.moxie.format.model.Attention.Temperature;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * The text models of Llama 4 Scout and Maverick (Meta, "The Llama 4 herd", 2025; transformers
 * {@code models/llama4/modeling_llama4.py}), within a model that sees: weights multiply what
 * experts read, some layers know no positions and the others see chunks.
 */
final class Llama4 {
  private static final Key<Integer> CHUNK =
      Key.count("attention_chunk_size", 1 << 30, "tokens of a chunk").or(8192).orNull();
  private static final Key<List<Integer>> TURNED =
      Key.numbers("no_rope_layers", "0 for each layer that knows no positions").or(List.of());
  private static final Key<Integer> STEP =
      Key.count("no_rope_layer_interval", 1 << 20, "of so many layers the last has none").or(4);
  private static final Key<List<Integer>> SPARSE =
      Key.numbers("moe_layers", "layers with experts, from 0").or(List.of());
  private static final Key<Boolean> TEMPERED =
      Key.flag("attn_temperature_tuning", "whether queries grow in such layers").or(true);
  private static final Key<Double> GROWTH = Key.positive("attn_scale", "their growth").or(0.1);
  private static final Key<Double> FLOOR = Key.positive("floor_scale", "from where on").or(8192.0);

  static final Family TEXT =
      new Family(
              "llama4_text",
              "Llama4ForCausalLM",
              Llama.KEYS
                  .and(Llama.TYPES, Llama.BIASES, Llama.NORMED.or(true))
                  .and(CHUNK, TURNED, STEP, SPARSE)
                  .and(Experts.KEYS.and(TEMPERED, GROWTH, FLOOR))
                  .and(Experts.COUNT.spelled("num_local_experts"))
                  .and(Experts.NORMALISED.constant(false), Experts.SHARED.constant(1))
                  .and(Experts.WIDTH.spelled("intermediate_size"))
                  .and(Experts.DENSE_WIDTH.spelled("intermediate_size_mlp"))
                  .and(Experts.STEP.spelled("interleave_moe_layer_step")),
              Llama4::model,
              List.of(Names.LLAMA4.under("", "language_model.", "released"), Names.LLAMA4))
          .within(Composite.LLAMA);

  private Llama4() {}

  private static Architecture model(Settings c) {
    List<Integer> list = Llama.ofEachLayer(c, TURNED);
    IntPredicate turns = i -> list.isEmpty() ? (i + 1) % c.get(STEP) != 0 : list.get(i) != 0;
    List<Integer> listed = c.get(SPARSE);
    IntPredicate sparse = i -> listed.isEmpty() ? Experts.isTurn(c, i) : listed.contains(i);
    IntPredicate chunked = Llama.listed(c, "chunked_attention", turns);
    var interleaved = Llama.attention(c, Llama.rotary(c, Rotary.Pairing.INTERLEAVED));
    var norm = new QueryKeyNorm(NormSpan.HEAD, c.get(Llama.EPSILON), false, true);
    var near = Parts.with(interleaved, "queryKeyNorm", c.get(Llama.NORMED) ? norm : null);
    var growth = new Temperature(c.get(GROWTH), c.get(FLOOR));
    var far = Parts.with(Llama.attention(c, null), "temperature", c.get(TEMPERED) ? growth : null);
    var route = Experts.route(c, Routing.Score.SIGMOID);
    var experts = Experts.of(c, Parts.with(route, "weightsApplyTo", EXPERT_INPUT));
    return Llama.model(
        c,
        i -> Parts.with(turns.test(i) ? near : far, "chunk", chunked.test(i) ? c.get(CHUNK) : null),
        i -> sparse.test(i) ? experts : Experts.dense(c));
  }
}
