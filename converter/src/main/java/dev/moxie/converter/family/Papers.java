package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * Systems of which equations were published, and neither weights nor files: what their config.json
 * says alike, and the parts that follow from it. Keys and names of tensors are of our own making.
 * Around the experts, unless a paper says otherwise, stands the Transformer of Vaswani et al.
 * ("Attention Is All You Need", 2017): sinusoids, embeddings times the root of their width, ReLU
 * and no gates, here without biases of projections, and with a norm before each half of a layer.
 */
final class Papers {
  /** Of a text that is shared out evenly an expert takes its part, times this. */
  static final Key<Double> CAPACITY =
      Key.positive("capacity_factor", "what an expert takes, over its even part of all choices")
          .or(1.0);

  private static final Keys ALL =
      Keys.of(Llama.VOCABULARY, Llama.POSITIONS, Llama.TIED, Llama.HIDDEN.spelled("d_model"))
          .and(Llama.EPSILON.spelled("layer_norm_eps").or(1e-6), Experts.STEP.spelled("moe_step"))
          .and(Llama.HEADS.spelled("num_heads"), Llama.HEAD_SIZE.spelled("d_kv").always())
          .and(Experts.COUNT, Experts.WIDTH.spelled("d_ff"), CAPACITY)
          .neutral("in training alone", "router_aux_loss_coef");

  /** Of a decoder alone. */
  static final Keys DECODER = ALL.and(Llama.LAYERS);

  /** Of an encoder and a decoder. */
  static final Keys TRANSLATION =
      ALL.and(EncoderDecoder.LAYERS, EncoderDecoder.DECODER_LAYERS)
          .and(EncoderDecoder.START, Llama.TIED.only(true));

  private Papers() {}

  /**
   * What experts drop of a sequence; nothing where each takes as many tokens as there are.
   *
   * @param chosen of each token
   */
  static Routing.@Nullable Drops drops(Settings c, int chosen, boolean afterNormalisation) {
    return drops(c, c.get(Experts.COUNT), chosen, afterNormalisation);
  }

  /** The same of a layer with so many experts. */
  static Routing.@Nullable Drops drops(
      Settings c, int experts, int chosen, boolean afterNormalisation) {
    double fraction = c.get(CAPACITY) * chosen / experts;
    return fraction < 1 ? new Routing.Drops(null, fraction, afterNormalisation) : null;
  }

  /** The best of a softmax. */
  static Routing routing(Settings c, int chosen) {
    int experts = c.get(Experts.COUNT);
    if (chosen > experts) {
      throw c.wrong(Experts.COUNT, chosen + " or more, which a token chooses", experts);
    }
    return Routing.of(chosen, Routing.Score.SOFTMAX);
  }

  /** Experts without gates. */
  static FeedForward.MixtureOfExperts experts(Settings c, Routing routing) {
    return experts(c, c.get(Experts.COUNT), routing);
  }

  /** So many of them. */
  static FeedForward.MixtureOfExperts experts(Settings c, int count, Routing routing) {
    var relu = FeedForward.Activation.RELU;
    int width = c.get(Experts.WIDTH);
    return new FeedForward.MixtureOfExperts(
        count, width, relu, true, null, false, routing, null, null, null);
  }

  private static Attention.Cross heads(Settings c) {
    int size = c.get(Llama.HEAD_SIZE);
    return new Attention.Cross(c.get(Llama.HEADS), size, 1 / Math.sqrt(size), false);
  }

  /** Attention of as many heads of keys and values as of queries. */
  static Attention.GroupedQuery attention(Settings c) {
    return EncoderDecoder.attention(heads(c));
  }

  /** A network without a gate, in the place of experts. */
  static FeedForward.Dense dense(Settings c) {
    return new FeedForward.Dense(c.get(Experts.WIDTH), FeedForward.Activation.RELU, true, false);
  }

  /** A decoder of which every so many layers have experts. */
  static Architecture decoder(Settings c, FeedForward experts) {
    FeedForward dense = dense(c);
    return decoder(c, i -> Experts.isTurn(c, i) ? experts : dense);
  }

  /** A decoder, by its layers' second halves, counted from 0. */
  static Architecture decoder(Settings c, IntFunction<FeedForward> feedForward) {
    var attention = attention(c);
    return placed(c, normed(Llama.model(c, i -> attention, feedForward)));
  }

  /** An encoder and a decoder of which every so many layers have experts. */
  static Architecture translation(Settings c, Routing routing) {
    var cross = heads(c);
    int width = c.get(Experts.WIDTH);
    IntPredicate sparse = i -> Experts.isTurn(c, i);
    List<Architecture.Blocks> read =
        EncoderDecoder.layers(
            c, c.get(EncoderDecoder.LAYERS), attention(c), null, width, routing, sparse);
    List<Architecture.Blocks> written =
        EncoderDecoder.layers(
            c, c.get(EncoderDecoder.DECODER_LAYERS), attention(c), cross, width, routing, sparse);
    return placed(c, normed(EncoderDecoder.model(c, read, written)));
  }

  /** With norms about the mean, which have biases. */
  static Architecture normed(Architecture model) {
    return Parts.with(model, Map.of("centredNorms", true, "normBiases", true));
  }

  private static Architecture placed(Settings c, Architecture model) {
    var scaled = Architecture.Multipliers.of(Math.sqrt(c.get(Llama.HIDDEN)), 1, 1);
    var placed = Parts.with(model, "positions", new Architecture.Sinusoids(0, null));
    return Parts.with(placed, "multipliers", scaled);
  }
}
