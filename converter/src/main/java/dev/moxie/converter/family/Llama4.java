package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The text models of Llama 4 Scout and Maverick (Meta, "The Llama 4 herd", 2025; transformers
 * {@code models/llama4/modeling_llama4.py}): weights multiply what experts read, some layers know
 * no positions and the others see chunks.
 */
final class Llama4 {
  private static final String CHUNKED = "chunked_attention";

  /** Where config.json does not say. */
  private static final int CHUNK = 8192;

  private static final String EXPERTS = "model.layers.{layer}.feed_forward.experts.";

  private static final Layout LAYOUT =
      Layout.of(
              "released",
              Names.join(
                  Names.LLAMA,
                  Names.weights(
                      "dense.gate", "feed_forward.gate_proj",
                      "dense.up", "feed_forward.up_proj",
                      "dense.down", "feed_forward.down_proj",
                      "router", "feed_forward.router",
                      "shared.gate", "feed_forward.shared_expert.gate_proj",
                      "shared.up", "feed_forward.shared_expert.up_proj",
                      "shared.down", "feed_forward.shared_expert.down_proj")))
          .and("experts.gate_up.weight", EXPERTS + "gate_up_proj", Arrangement.HALVES_TRANSPOSED)
          .and("experts.down.weight", EXPERTS + "down_proj", Arrangement.STACKED_TRANSPOSED);

  static final Family TEXT =
      new Family(
          "llama4_text",
          Set.of("llama4_text"),
          "Llama4ForCausalLM",
          Llama4::architecture,
          List.of(LAYOUT),
          null);

  private Llama4() {}

  private static Architecture architecture(Config config) {
    int layers = Llama.layers(config);
    int interval =
        config.has("no_rope_layer_interval") ? config.count("no_rope_layer_interval", 1 << 20) : 4;
    List<Integer> stated = list(config, "no_rope_layers");
    List<Integer> turned =
        stated.isEmpty()
            ? IntStream.range(0, layers).mapToObj(i -> (i + 1) % interval == 0 ? 0 : 1).toList()
            : stated;
    if (turned.size() != layers) {
      throw config.wrong(
          "no_rope_layers", "as many entries as layers, " + layers, turned.toString());
    }
    IntPredicate chunked =
        config.has(Llama.TYPES) ? Llama.stated(config, CHUNKED) : i -> turned.get(i) != 0;
    int step =
        config.has("interleave_moe_layer_step")
            ? config.count("interleave_moe_layer_step", 1 << 20)
            : 1;
    Set<Integer> sparse =
        config.has("moe_layers")
            ? Set.copyOf(config.numbers("moe_layers"))
            : Set.copyOf(
                IntStream.range(0, layers).filter(i -> (i + 1) % step == 0).boxed().toList());
    int size = Llama.headSize(config);
    var rotary = RotarySettings.of(config, size, Rotary.Pairing.INTERLEAVED);
    boolean usual = !config.occurs("attention_chunk_size");
    Integer chunk =
        usual ? Integer.valueOf(CHUNK) : config.countOrNull("attention_chunk_size", 1 << 30);
    if (chunk == null && IntStream.range(0, layers).anyMatch(chunked)) {
      throw config.wrong("attention_chunk_size", "a value, since some layers have chunks", "none");
    }
    var near = attention(config, rotary);
    var far = attention(config, null);
    var mixture = experts(config);
    var dense = Llama.dense(config, "intermediate_size_mlp");
    return Llama.model(
        config,
        Layers.of(
            layers,
            i ->
                Parts.with(
                    turned.get(i) == 0 ? far : near, "chunk", chunked.test(i) ? chunk : null),
            i -> sparse.contains(i) ? mixture : dense));
  }

  private static List<Integer> list(Config config, String key) {
    return config.has(key) ? config.numbers(key) : List.of();
  }

  private static Attention.GroupedQuery attention(Config config, @Nullable Rotary rotary) {
    var attention =
        Llama.biased(Llama.attention(config, rotary), config.flag("attention_bias", false), true);
    boolean normed = config.flag("use_qk_norm", true);
    boolean tempered = config.flag("attn_temperature_tuning", true);
    double scale = config.has("attn_scale") ? config.positive("attn_scale") : 0.1;
    double floor = config.has("floor_scale") ? config.positive("floor_scale") : 8192;
    if (rotary == null) {
      return Parts.with(
          attention, "temperature", tempered ? new Attention.Temperature(scale, floor) : null);
    }
    var norm =
        new Attention.QueryKeyNorm(
            Attention.NormSpan.HEAD, config.positive("rms_norm_eps"), false, true);
    return Parts.with(attention, "queryKeyNorm", normed ? norm : null);
  }

  private static FeedForward experts(Config config) {
    int count = config.count("num_local_experts", Limits.MAX_EXPERTS);
    Routing routing =
        Parts.with(
            Routing.of(config.count("num_experts_per_tok", count), Routing.Score.SIGMOID),
            "weightsApplyTo",
            Routing.WeightsApplyTo.EXPERT_INPUT);
    int width = config.count("intermediate_size", Limits.MAX_WIDTH);
    var shared = new FeedForward.SharedExperts(width);
    return Llama.experts(config, count, "intermediate_size", routing, shared);
  }
}
