package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * What config.json says of the second half of a layer, alike in many families: keys, and the parts
 * that follow from them.
 */
final class Experts {
  private static final Map<String, FeedForward.Activation> ACTIVATIONS =
      Map.of(
          "silu", FeedForward.Activation.SILU,
          "swigluoai", FeedForward.Activation.SILU, // What holds it within bounds are other keys.
          "gelu_pytorch_tanh", FeedForward.Activation.GELU_TANH,
          "relu2", FeedForward.Activation.RELU_SQUARED);

  /** The kind of a layer without experts. */
  static final String DENSE = "dense";

  /** The kind of a layer with some. */
  static final String SPARSE = "sparse";

  static final Key<String> ACTIVATION =
      Key.word("hidden_act", "what gates are put through", Set.of("silu"));

  /** Likewise, of families that have another. */
  static final Key<String> GELU =
      Key.word("hidden_act", "what gates are put through", Set.of("gelu_pytorch_tanh"));

  static final Key<Integer> COUNT =
      Key.count("num_experts", Limits.MAX_EXPERTS, "routed experts in a layer");
  static final Key<Integer> PER_TOKEN =
      Key.count("num_experts_per_tok", Limits.MAX_EXPERTS, "experts that a token is given to");
  static final Key<Integer> WIDTH =
      Key.count("moe_intermediate_size", Limits.MAX_WIDTH, "width inside a routed expert");
  static final Key<Integer> DENSE_WIDTH =
      Key.count("intermediate_size", Limits.MAX_WIDTH, "width inside a layer without experts")
          .orNone();
  static final Key<Integer> DENSE_FIRST =
      Key.whole(
          "first_k_dense_replace", 0, Limits.MAX_LAYERS, "layers without experts, from the first");
  static final Key<Integer> SHARED =
      Key.whole(
              "n_shared_experts",
              0,
              Limits.MAX_EXPERTS,
              "experts for every token, as wide as routed ones")
          .or(0);
  static final Key<Boolean> NORMALISED =
      Key.flag("norm_topk_prob", "whether a token's weights are divided by their sum");
  static final Key<Double> SCALE =
      Key.positive("routed_scaling_factor", "what a token's weights are multiplied by");
  static final Key<Integer> GROUPS = Key.count("n_group", Limits.MAX_EXPERTS, "groups of experts");
  static final Key<Integer> KEPT_GROUPS =
      Key.count("topk_group", Limits.MAX_EXPERTS, "groups that a token's experts are chosen from");
  static final Key<Integer> PREDICTION =
      Key.whole(
              "num_nextn_predict_layers", 0, Limits.MAX_LAYERS, "layers for multi-token prediction")
          .or(0);

  static final Key<List<String>> KINDS =
      Key.texts("mlp_layer_types", "dense or sparse for each layer, sparse with experts").orNone();

  /** A step that is longer than any model. */
  static final int MAX_STEP = 1 << 20;

  static final Key<Integer> STEP =
      Key.count("decoder_sparse_step", MAX_STEP, "of so many layers the last has experts").or(1);

  static final Keys KEYS = Keys.of(ACTIVATION, COUNT, PER_TOKEN, WIDTH, NORMALISED);

  private Experts() {}

  private static FeedForward.Activation activation(Settings c) {
    return Objects.requireNonNull(ACTIVATIONS.get(c.get(ACTIVATION)));
  }

  /** A gated network. */
  static FeedForward.Dense dense(Settings c) {
    return new FeedForward.Dense(c.get(DENSE_WIDTH), activation(c));
  }

  /** Routed experts, and shared ones beside them where the family has a key for their number. */
  static FeedForward.MixtureOfExperts of(Settings c, Routing routing) {
    Integer count = c.find(SHARED);
    return of(
        c,
        routing,
        count == null || count == 0
            ? null
            : new FeedForward.SharedExperts(Math.multiplyExact(c.get(WIDTH), count)));
  }

  /** Routed experts, and shared ones of the family's own. */
  static FeedForward.MixtureOfExperts of(
      Settings c, Routing routing, FeedForward.@Nullable SharedExperts shared) {
    return of(c, c.get(COUNT), routing, shared);
  }

  /** So many of them. */
  static FeedForward.MixtureOfExperts of(
      Settings c, int count, Routing routing, FeedForward.@Nullable SharedExperts shared) {
    return new FeedForward.MixtureOfExperts(count, c.get(WIDTH), activation(c), routing, shared);
  }

  /** Whether it is a layer's turn to have experts, counted from 0. */
  static boolean isTurn(Settings c, int layer) {
    return (layer + 1) % c.get(STEP) == 0;
  }

  /** Softmax over all experts. */
  static Routing softmax(Settings c) {
    return route(c, Routing.Score.SOFTMAX);
  }

  /** A score, by which the best experts are chosen. */
  static Routing route(Settings c, Routing.Score score) {
    return Routing.of(c.atMost(PER_TOKEN, c.get(COUNT)), score)
        .withNormalisation(c.on(NORMALISED) ? new Routing.Normalisation(0) : null);
  }

  /** Groups, unless all of them are kept, which limits nothing. */
  static Routing.@Nullable Groups groups(
      Settings c, Routing.Groups.Aggregate aggregate, Routing.Groups.MaskValue maskValue) {
    int count = c.atMost(GROUPS, c.get(COUNT));
    int kept = c.atMost(KEPT_GROUPS, count);
    return kept == count ? null : new Routing.Groups(count, kept, aggregate, maskValue);
  }

  /** A model of layers without experts first, then with them, then for multi-token prediction. */
  static Architecture model(Settings c, Attention attention, FeedForward experts) {
    return predicting(c, model(c, i -> attention, experts), attention, experts);
  }

  /** The model with the layers for multi-token prediction that are declared. */
  static Architecture predicting(
      Settings c, Architecture model, Attention attention, FeedForward experts) {
    Integer more = c.find(PREDICTION);
    return more == null || more == 0
        ? model
        : Parts.with(model, "prediction", new Architecture.Prediction(more, attention, experts));
  }

  /**
   * Which layers have no experts, counted from 0.
   *
   * @param first so many where nothing says which; the number of those first may repeat it
   */
  static IntPredicate withoutExperts(Settings c, int first) {
    List<String> kinds = c.find(KINDS);
    int layers = c.get(Llama.LAYERS);
    if (kinds != null
        && (kinds.size() != layers || !kinds.stream().allMatch(List.of(DENSE, SPARSE)::contains))) {
      throw c.unsupported(KINDS, "%d times %s or %s".formatted(layers, DENSE, SPARSE), kinds);
    }
    IntPredicate dense = i -> kinds == null ? i < first : kinds.get(i).equals(DENSE);
    Integer stated = c.stated(DENSE_FIRST).isEmpty() ? null : c.get(DENSE_FIRST);
    if (stated != null && !IntStream.range(0, layers).allMatch(i -> dense.test(i) == i < stated)) {
      throw c.unsupported(
          DENSE_FIRST,
          kinds == null ? Integer.toString(first) : "what mlp_layer_types says",
          stated);
    }
    return dense;
  }

  /**
   * A model of layers without experts first, or where a list says, then with them; attention
   * counted from 0.
   */
  static Architecture model(
      Settings c, IntFunction<? extends Attention> attention, FeedForward experts) {
    int first = c.get(DENSE_FIRST);
    if (first > c.get(Llama.LAYERS) && !c.stated(DENSE_FIRST).isEmpty()) {
      throw c.wrong(DENSE_FIRST, "at most the number of layers, " + c.get(Llama.LAYERS), first);
    }
    IntPredicate dense = withoutExperts(c, first);
    return Llama.model(c, attention, i -> dense.test(i) ? dense(c) : experts);
  }
}
