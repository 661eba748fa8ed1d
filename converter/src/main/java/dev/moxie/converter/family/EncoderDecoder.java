package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** What the config.json of models with an encoder says alike, and the parts that follow from it. */
final class EncoderDecoder {
  static final Key<Integer> LAYERS =
      Key.count("encoder_layers", Limits.MAX_LAYERS, "layers of the encoder");
  static final Key<Integer> DECODER_LAYERS =
      Key.count("decoder_layers", Limits.MAX_LAYERS, "layers of the decoder");
  static final Key<Integer> START =
      Key.whole(
          "decoder_start_token_id",
          0,
          Limits.MAX_VOCABULARY,
          "the token that a decoder begins with");
  static final Key<String> ACTIVATION =
      Key.word("activation_function", "what networks put numbers through", Set.of("relu"))
          .or("relu");
  static final Key<Integer> CAPACITY =
      Key.count("expert_capacity", Integer.MAX_VALUE, "tokens of a text that an expert takes")
          .or(64);
  static final Key<Boolean> ROUTER_BIAS =
      Key.flag("router_bias", "whether the router has a stored bias").or(false);

  static final Keys KEYS =
      Keys.of(Llama.VOCABULARY, Llama.HIDDEN.spelled("d_model"), Llama.TIED.only(true))
          .and(LAYERS, DECODER_LAYERS, START, ACTIVATION, CAPACITY, ROUTER_BIAS)
          .and(Experts.COUNT)
          .and(Key.word("router_dtype", "what routers compute in", Set.of("float32")).or("float32"))
          .and(Key.flag("is_encoder_decoder", "whether there is an encoder").only(true))
          .neutral("no text holds padding", "router_ignore_padding_tokens")
          .neutral("in training alone", "router_z_loss_coef", "router_aux_loss_coef")
          .neutral("counts layers a second time", "num_hidden_layers");

  private EncoderDecoder() {}

  /** The best experts by softmax, of which each takes some tokens. */
  static Routing routing(Settings c, int chosen, Routing.@Nullable Drops drops) {
    return Routing.of(chosen, Routing.Score.SOFTMAX)
        .withBias(c.on(ROUTER_BIAS) ? Routing.Bias.LOGITS : null)
        .withDrops(drops);
  }

  /** Attention of as many heads of keys and values, and the biases that a decoder's other has. */
  static Attention.GroupedQuery attention(Attention.Cross like) {
    int heads = like.heads();
    var plain = new Attention.GroupedQuery(heads, heads, like.headSize(), like.scale(), null, null);
    return Parts.with(plain, Map.of("biases", like.biases(), "outputBias", like.biases()));
  }

  /**
   * Layers of networks without gates, some of them experts.
   *
   * @param cross attention to an encoder, in the layers of a decoder; null in those of one
   * @param width inside a network
   * @param sparse which layers have experts, counted from 0
   */
  static List<Architecture.Blocks> layers(
      Settings c,
      int count,
      Attention.GroupedQuery attention,
      Attention.@Nullable Cross cross,
      int width,
      Routing routing,
      IntPredicate sparse) {
    var relu = FeedForward.Activation.RELU;
    boolean biases = attention.biases();
    var experts =
        new FeedForward.MixtureOfExperts(
            c.get(Experts.COUNT), width, relu, true, null, biases, routing, null, null, null);
    var dense = new FeedForward.Dense(width, relu, true, biases);
    var own = Parts.with(attention, "bidirectional", cross == null);
    return Layers.of(count, i -> own, i -> sparse.test(i) ? experts : dense).stream()
        .map(run -> Parts.with(run, "cross", cross))
        .toList();
  }

  /** A model of both. */
  static Architecture model(
      Settings c, List<Architecture.Blocks> encoder, List<Architecture.Blocks> decoder) {
    int start = c.get(START);
    if (start >= c.get(Llama.VOCABULARY)) {
      throw c.wrong(START, "a token below " + c.get(Llama.VOCABULARY), start);
    }
    List<Architecture.Blocks> alone =
        decoder.stream().map(run -> Parts.with(run, "cross", null)).toList();
    var model =
        new Architecture(
            c.get(Llama.VOCABULARY),
            c.get(Llama.HIDDEN),
            c.get(Llama.POSITIONS),
            c.get(Llama.EPSILON),
            c.on(Llama.TIED),
            alone,
            null);
    return Parts.with(
        model, Map.of("encoder", new Architecture.Encoder(start, encoder), "blocks", decoder));
  }
}
