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
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/** A Vision Transformer with experts: what its config.json says, and the parts that follow. */
final class Images {
  private static final int PIXELS = 2048;
  private static final int COLOURS = 3;

  private static final Key<Integer> IMAGE =
      Key.count("image_size", PIXELS, "pixels of an image's side");
  private static final Key<Integer> PATCH =
      Key.count("patch_size", PIXELS, "pixels of a patch's side");
  private static final Key<List<Integer>> SPARSE =
      Key.numbers("moe_layers", "layers with experts, counted from 0");
  private static final Key<Integer> GROUP =
      Key.count("group_size", Integer.MAX_VALUE, "tokens that experts are shared out to together");
  private static final Key<Integer> REPRESENTATION =
      Key.count("representation_size", Limits.MAX_WIDTH, "width of what the head reads")
          .orNone()
          .orNull();
  private static final Key<Boolean> PRIORITY =
      Key.flag("batch_priority", "whether the surest tokens come first at an expert");
  private static final Key<Double> CAPACITY =
      Key.positive("capacity_factor", "what an expert takes, over its even part of all choices");
  private static final Key<String> ROUNDED =
      Key.word("capacity_ceil_or_round", "how that becomes whole", Set.of("ceil", "round"))
          .or("ceil");
  private static final Key<Integer> MULTIPLE =
      Key.whole("capacity_multiple_of", 0, Limits.MAX_WIDTH, "what divides it, if not 0").or(4);

  static final Keys KEYS =
      Keys.of(Llama.VOCABULARY.spelled("num_classes"), Llama.HIDDEN, IMAGE, PATCH, SPARSE, GROUP)
          .and(Llama.LAYERS.spelled("num_layers"), Llama.HEADS.spelled("num_heads"))
          .and(Experts.COUNT, Experts.PER_TOKEN.spelled("num_selected_experts"))
          .and(Experts.WIDTH.spelled("mlp_dim"), Llama.EPSILON.spelled("layer_norm_eps").or(1e-6))
          .and(REPRESENTATION, PRIORITY, CAPACITY, ROUNDED, MULTIPLE)
          .neutral("in training alone", "noise_std");

  private Images() {}

  /** The model. */
  static Architecture model(Settings c) {
    int side = c.get(IMAGE) / c.atMost(PATCH, c.get(IMAGE));
    int tokens = side * side + 1;
    if (c.get(GROUP) != tokens) {
      throw c.wrong(GROUP, tokens + ", the tokens of one image", c.get(GROUP));
    }
    var experts =
        new FeedForward.MixtureOfExperts(
            c.get(Experts.COUNT),
            c.get(Experts.WIDTH),
            FeedForward.Activation.GELU_TANH,
            true,
            null,
            true,
            routing(c, tokens),
            null,
            null,
            null);
    var dense = new FeedForward.Dense(experts.intermediateSize(), experts.activation(), true, true);
    List<Integer> sparse = c.get(SPARSE);
    int layers = c.get(Llama.LAYERS);
    if (sparse.stream().anyMatch(i -> i < 0 || i >= layers)) {
      throw c.wrong(SPARSE, "numbers from 0 to " + (layers - 1), sparse);
    }
    int patch = c.get(PATCH);
    var image = new Architecture.Image(patch * patch * COLOURS, c.find(REPRESENTATION));
    int classes = c.get(Llama.VOCABULARY);
    return model(c, image, classes, tokens, layers(c, i -> sparse.contains(i) ? experts : dense));
  }

  /** Layers, by their second halves, counted from 0. */
  static List<Architecture.Blocks> layers(Settings c, IntFunction<FeedForward> feedForward) {
    Attention.GroupedQuery attention = attention(c);
    return Layers.of(c.get(Llama.LAYERS), i -> attention, feedForward);
  }

  /** A model of so many classes and tokens, which all see each other. */
  static Architecture model(
      Settings c,
      Architecture.Image image,
      int classes,
      int tokens,
      List<Architecture.Blocks> layers) {
    var alone =
        new Architecture(
            classes, c.get(Llama.HIDDEN), tokens, c.get(Llama.EPSILON), false, layers, null);
    var seen = Parts.with(attention(c), "bidirectional", true);
    List<Architecture.Blocks> ahead = layers.stream().map(run -> run.withAttention(seen)).toList();
    return Papers.normed(
        Parts.with(alone, Map.of("image", image, "headBias", true, "blocks", ahead)));
  }

  /** Attention with biases. */
  private static Attention.GroupedQuery attention(Settings c) {
    int heads = c.get(Llama.HEADS);
    int hidden = c.get(Llama.HIDDEN);
    if (hidden % heads != 0) {
      throw c.wrong(Llama.HEADS, "a divisor of " + hidden, heads);
    }
    int size = hidden / heads;
    return EncoderDecoder.attention(new Attention.Cross(heads, size, 1 / Math.sqrt(size), true));
  }

  /** The best of a softmax, as they are, and what experts drop of an image. */
  private static Routing routing(Settings c, int tokens) {
    int chosen = c.atMost(Experts.PER_TOKEN, c.get(Experts.COUNT));
    return Routing.of(chosen, Routing.Score.SOFTMAX).withDrops(drops(c, tokens, chosen));
  }

  /** As {@code compute_capacity} of {@code vmoe/moe.py} has it. */
  private static Routing.@Nullable Drops drops(Settings c, int tokens, int chosen) {
    double part = (double) tokens * chosen * c.get(CAPACITY) / c.get(Experts.COUNT);
    long taken = (long) (c.get(ROUNDED).equals("ceil") ? Math.ceil(part) : Math.rint(part));
    if (taken < 1) {
      throw c.wrong(CAPACITY, "a capacity of one token or more", c.get(CAPACITY));
    }
    int multiple = Math.max(1, c.get(MULTIPLE));
    taken = Math.ceilDiv(taken, multiple) * multiple;
    var order =
        c.on(PRIORITY)
            ? Routing.Drops.Order.CHOICE_THEN_SCORE
            : Routing.Drops.Order.CHOICE_THEN_POSITION;
    return taken < tokens ? new Routing.Drops((int) taken, null, null, order, false) : null;
  }
}
