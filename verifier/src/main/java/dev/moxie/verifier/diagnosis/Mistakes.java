package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.Multipliers;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Architecture.ResidualScale;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Attention.BlockIndexer;
import dev.moxie.format.model.Attention.Compressed;
import dev.moxie.format.model.Attention.Gate;
import dev.moxie.format.model.Attention.GatedDelta;
import dev.moxie.format.model.Attention.GroupedQuery;
import dev.moxie.format.model.Attention.Indexer;
import dev.moxie.format.model.Attention.Lightning;
import dev.moxie.format.model.Attention.Mamba;
import dev.moxie.format.model.Attention.Mamba2;
import dev.moxie.format.model.Attention.MultiHeadLatent;
import dev.moxie.format.model.Attention.NormSpan;
import dev.moxie.format.model.Attention.Opening;
import dev.moxie.format.model.Attention.QueryKeyNorm;
import dev.moxie.format.model.Attention.ShortConvolution;
import dev.moxie.format.model.Attention.Softmax;
import dev.moxie.format.model.Attention.Temperature;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.FeedForward.Clamp;
import dev.moxie.format.model.FeedForward.MixtureOfExperts;
import dev.moxie.format.model.FeedForward.OutputFactors;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Rotary.Pairing;
import dev.moxie.format.model.Rotary.Yarn;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Routing.WeightsApplyTo;
import dev.moxie.verifier.report.Figures;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.DoubleFunction;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What an architecture may say instead of what it should, part by part: each member may be there or
 * not, or have another value.
 */
final class Mistakes {
  /** The values of mscale_all_dim in released checkpoints (DeepSeek-V3; V2 and V2-Lite). */
  private static final List<Double> MSCALES = List.of(1.0, 0.707);

  /** Of states in time, in released checkpoints (Nemotron-H). */
  private static final double LEAST_STEP = 0.001;

  /** Bases of rotary angles in released checkpoints. */
  private static final List<Double> BASES =
      List.of(10_000.0, 50_000.0, 100_000.0, 150_000.0, 500_000.0, 1e6, 5e6, 1e7);

  /** Stretches of released checkpoints: gpt-oss, Qwen, DeepSeek and Kimi; Llama 3.1 to 4. */
  private static final List<Rotary.Scaling> STRETCHES =
      List.of(
          yarn(32, 4096, true),
          yarn(4, 32_768, false),
          yarn(40, 4096, false),
          yarn(32, 4096, false),
          new Rotary.Llama3(8, 1, 4, 8192),
          new Rotary.Llama3(16, 1, 4, 8192),
          new Rotary.Llama3(32, 1, 4, 8192));

  /** Clamp and temperature of the one released family that has each: gpt-oss; Llama 4. */
  private static final Clamp CLAMP = new Clamp(7, 1.702, 1);

  private static final double TEMPERATURE_SCALE = 0.1;

  /** Distances that biases may be alike from on, beside T5's 128. */
  private static final int[] FARTHEST = {128, 64, 256, 512, 1024};

  /** Of MiMo-V2. */
  private static final double SMALLER_VALUES = 0.707;

  /** Of Gemma 2 to 4, and of scores of Grok-1. */
  private static final double LOGIT_CAP = 30;

  /** Tokens before the first that embeddings may count. */
  private static final int MOST_POSITIONS = 4;

  /** Of streams; where more are done, they hardly change anything. */
  private static final int MOST_ITERATIONS = 32;

  private static final WeightsApplyTo[] NONE = {};

  /** Wider windows of a reference are not looked for: each is a pass of its own. */
  private static final int WIDEST_WINDOW = 64;

  private final Architecture model;
  private final Architecture.Blocks blocks;
  private final String prefix;
  private final int tokens;

  /** Mistakes in what an architecture says of one layer, as far as so many tokens show them. */
  Mistakes(Architecture model, int layer, int tokens) {
    this.model = model;
    this.blocks = model.layers().get(layer);
    this.prefix = "layers." + layer + ".";
    this.tokens = tokens;
  }

  /**
   * A mistake.
   *
   * @param cause what the package then has, for the sentence "Looks like …"
   * @param right the architecture without it
   */
  record Mistake(String cause, Architecture right) {}

  /**
   * A number that may be any other.
   *
   * @param own the package's, or where to start from if it has none
   */
  record Scalar(
      DoubleFunction<String> cause,
      double own,
      double least,
      double most,
      int points,
      DoubleFunction<Architecture> with) {}

  /**
   * Vectors that the reference has and the package lacks.
   *
   * @param start by name, values that leave the model as it is or nearly so
   */
  record Missing(String cause, Architecture right, Map<String, double[]> start) {}

  /**
   * A member of a part.
   *
   * @param absent its value in a part that lacks it
   */
  private record Member<P>(
      String name, @Nullable Object absent, String noun, Function<P, @Nullable Object> of) {}

  private static final Member<GroupedQuery> SCORE_CAP =
      new Member<>("scoreCap", null, "cap of scores", GroupedQuery::scoreCap);
  private static final Member<GroupedQuery> WINDOW =
      new Member<>("window", null, "sliding window", GroupedQuery::window);
  private static final Member<GroupedQuery> CHUNK =
      new Member<>("chunk", null, "chunk of attention", GroupedQuery::chunk);
  private static final Member<GroupedQuery> SINKS =
      new Member<>("sinks", false, "sink in attention", GroupedQuery::sinks);
  private static final Member<GroupedQuery> OUTPUT_BIAS =
      new Member<>("outputBias", false, "bias of attention output", GroupedQuery::outputBias);
  private static final Member<GroupedQuery> BIASES =
      new Member<>("biases", false, "bias of queries, keys and values", GroupedQuery::biases);
  private static final Member<GroupedQuery> CLIP =
      new Member<>("clip", null, "clip of queries, keys and values", GroupedQuery::clip);
  private static final Member<GroupedQuery> TEMPERATURE =
      new Member<>("temperature", null, "temperature", GroupedQuery::temperature);
  private static final Member<GroupedQuery> QUERY_KEY_NORM =
      new Member<>("queryKeyNorm", null, "query/key norm", GroupedQuery::queryKeyNorm);
  private static final Member<GroupedQuery> VALUE_NORM =
      new Member<>("valueNorm", null, "norm of values", GroupedQuery::valueNorm);
  private static final Member<GroupedQuery> VALUE_FACTOR =
      new Member<>("valueFactor", null, "factor of values", GroupedQuery::valueFactor);
  private static final Member<GroupedQuery> GATE =
      new Member<>("gate", null, "gate of what heads read", GroupedQuery::gate);
  private static final Member<GroupedQuery> ROTARY =
      new Member<>("rotary", null, "rotary embedding", GroupedQuery::rotary);
  private static final List<Member<GroupedQuery>> OF_ATTENTION =
      List.of(
          SCORE_CAP,
          WINDOW,
          CHUNK,
          SINKS,
          OUTPUT_BIAS,
          BIASES,
          CLIP,
          TEMPERATURE,
          QUERY_KEY_NORM,
          VALUE_NORM,
          VALUE_FACTOR,
          GATE,
          ROTARY);

  private static Yarn yarn(double factor, long positions, boolean exactBounds) {
    double magnitude = 0.1 * Math.log(factor) + 1;
    return new Yarn(factor, positions, 32, 1, magnitude, 1, exactBounds);
  }

  /** What may be wrong with the attention, the likeliest first. */
  List<Mistake> ofAttention() {
    List<Mistake> mistakes = new ArrayList<>();
    if (blocks.attention() instanceof Softmax a && a.rotary() != null) {
      rotaries(a.rotary()).forEach((cause, r) -> attention(mistakes, cause, x -> a.withRotary(r)));
    }
    if (blocks.cross() != null) {
      ofCross(blocks.cross(), mistakes);
    }
    switch (blocks.attention()) {
      case GroupedQuery a -> ofGroupedQuery(a, mistakes);
      case MultiHeadLatent a -> ofLatent(a, mistakes);
      case GatedDelta a -> ofDelta(a, mistakes);
      case ShortConvolution a ->
          attention(
              mistakes,
              "biases of a convolution that the reference does not have",
              x -> Parts.with(a, "biases", false));
      case Mamba a -> biases(a, mistakes);
      case Mamba2 a -> ofMamba2(a, mistakes);
      case Attention.Lightning _, Attention.None _ -> {} // They lack no member.
      case Compressed a -> ofCompressed(a, mistakes);
    }
    return mistakes;
  }

  private void ofCross(Attention.Cross cross, List<Mistake> mistakes) {
    for (double scale : new double[] {1, 1 / Math.sqrt(cross.headSize())}) {
      Attention.Cross other = Parts.with(cross, "scale", scale);
      add(
          mistakes,
          instead("scale of attention to the encoder", cross.scale(), scale),
          model.withBlocks(b -> b.equals(blocks) ? Parts.with(b, "cross", other) : b));
    }
  }

  /** They are those of all layers that stand together. */
  private void ofDistances(Attention.Distances own, List<Mistake> mistakes) {
    for (int farthest : FARTHEST) {
      if (farthest >= own.buckets()) {
        add(
            mistakes,
            instead("farthest distance of a bias", own.farthest(), farthest),
            model.withBlocks(
                b ->
                    b.attention() instanceof GroupedQuery a && own.equals(a.distances())
                        ? b.withAttention(
                            with(a, "distances", new Attention.Distances(own.buckets(), farthest)))
                        : b));
      }
    }
  }

  private void ofDelta(GatedDelta a, List<Mistake> mistakes) {
    String cause = a.sigmoidGates() ? opens("sigmoid", "silu") : opens("silu", "sigmoid");
    attention(mistakes, cause, x -> Parts.with(a, "sigmoidGates", !a.sigmoidGates()));
  }

  private static String opens(String own, String other) {
    return "a gate that %s opens instead of %s".formatted(own, other);
  }

  private void ofMamba2(Mamba2 a, List<Mistake> mistakes) {
    int other = a.normGroups() == 1 ? a.groups() : 1;
    attention(
        mistakes,
        instead("groups of heads that the norm goes over", a.normGroups(), other),
        x -> Parts.with(a, "normGroups", other));
    biases(a, mistakes);
  }

  /** Of a part that has some of its convolution and some of its projections. */
  private <A extends Record & Attention> void biases(A a, List<Mistake> mistakes) {
    for (String member : List.of("convolutionBias", "biases")) {
      String of = member.equals("biases") ? "projections" : "a convolution";
      attention(
          mistakes,
          "biases of " + of + " that the reference does not have",
          x -> Parts.with(a, member, false));
    }
  }

  private void ofLatent(MultiHeadLatent a, List<Mistake> mistakes) {
    List<@Nullable Temperature> others = new ArrayList<>();
    others.add(null);
    if (a.temperature() != null) {
      others.add(Parts.with(a.temperature(), "fromZero", !a.temperature().fromZero()));
    }
    for (int width = 1; width < Math.min(tokens, WIDEST_WINDOW); width++) {
      for (boolean fromZero : new boolean[] {false, true}) {
        others.add(new Temperature(TEMPERATURE_SCALE, width, fromZero));
      }
    }
    for (Temperature other : others) {
      String cause = words("temperature", a.temperature(), other);
      attention(mistakes, cause, x -> Parts.with((MultiHeadLatent) x, "temperature", other));
    }
    if (a.indexer() != null) {
      ofIndexer(a, a.indexer(), mistakes);
    } else if (a.rotary() == null) {
      String cause = words("rotary embedding", null, ROTARY);
      supposed(a.shared()).forEach(r -> attention(mistakes, cause, x -> a.withRotary(r)));
    } else {
      String cause = words("rotary embedding", a.rotary(), null);
      attention(mistakes, cause, x -> a.withRotary(null));
    }
  }

  /** How positions may turn so many dimensions. */
  private static Stream<Rotary> supposed(int dimensions) {
    return BASES.stream()
        .flatMap(
            base ->
                Stream.of(Pairing.values())
                    .map(pairing -> new Rotary(base, dimensions, pairing, null)))
        .flatMap(
            plain -> Stream.concat(Stream.of(plain), STRETCHES.stream().map(plain::withScaling)));
  }

  private void ofIndexer(MultiHeadLatent a, Indexer own, List<Mistake> mistakes) {
    indexer(mistakes, a, "an indexer that the reference does not have", null);
    for (Pairing pairing : Pairing.values()) {
      indexer(mistakes, a, read(pairing), Parts.with(own, "pairing", pairing));
    }
    for (int kept = 1; kept < Math.min(tokens, WIDEST_WINDOW); kept++) {
      String cause = instead("positions that a token sees", own.kept(), kept);
      indexer(mistakes, a, cause, Parts.with(own, "kept", kept));
    }
  }

  private void indexer(
      List<Mistake> mistakes, MultiHeadLatent a, String cause, @Nullable Indexer other) {
    attention(mistakes, cause, x -> Parts.with(a, "indexer", other));
  }

  private void ofCompressed(Compressed a, List<Mistake> mistakes) {
    for (int width = 1; width < Math.min(tokens, WIDEST_WINDOW); width++) {
      int window = width;
      String cause = instead("tokens of a window", a.window(), width);
      attention(mistakes, cause, x -> Parts.with(a, "window", window));
    }
    Attention.Compression own = a.compression();
    if (own == null) {
      return;
    }
    compression(mistakes, a, "entries that the reference does not have", null);
    Indexer indexer = own.indexer();
    if (indexer == null) {
      return;
    }
    String without = "an indexer that the reference does not have";
    compression(mistakes, a, without, Parts.with(own, "indexer", null));
    for (Pairing pairing : Pairing.values()) {
      Indexer other = Parts.with(indexer, "pairing", pairing);
      compression(mistakes, a, read(pairing), Parts.with(own, "indexer", other));
    }
    for (int kept = 1; kept < Math.min(tokens, WIDEST_WINDOW); kept++) {
      String cause = instead("entries that a token sees", indexer.kept(), kept);
      Indexer other = Parts.with(indexer, "kept", kept);
      compression(mistakes, a, cause, Parts.with(own, "indexer", other));
    }
  }

  private void compression(
      List<Mistake> mistakes, Compressed a, String cause, Attention.@Nullable Compression other) {
    attention(mistakes, cause, x -> Parts.with(a, "compression", other));
  }

  /** What a mistake about the pairs of an indexer is where these are right. */
  private static String read(Pairing right) {
    return switch (right) {
      case INTERLEAVED -> "interleaved dimensions of the indexer read as halves";
      case HALVES -> "halves of the indexer's dimensions read as interleaved";
    };
  }

  private static String words(String noun, @Nullable Object own, @Nullable Object other) {
    if (other == null) {
      return "a " + noun + " that the reference does not have";
    }
    return own == null ? "a dropped " + noun : "another " + noun;
  }

  private void ofBlocks(GroupedQuery a, BlockIndexer own, List<Mistake> mistakes) {
    blocks(mistakes, a, "an indexer that the reference does not have", null);
    for (int other = 1; other < Math.min(tokens, WIDEST_WINDOW); other++) {
      blocks(
          mistakes,
          a,
          instead("positions of a block", own.block(), other),
          Parts.with(own, "block", other));
      if (other >= own.local()) {
        blocks(
            mistakes,
            a,
            instead("blocks that a head sees", own.kept(), other),
            Parts.with(own, "kept", other));
      }
    }
    for (int local = 0; local <= own.kept(); local++) {
      blocks(
          mistakes,
          a,
          instead("last blocks that a head always sees", own.local(), local),
          Parts.with(own, "local", local));
    }
  }

  private void blocks(
      List<Mistake> mistakes, GroupedQuery a, String cause, @Nullable BlockIndexer other) {
    attention(mistakes, cause, x -> Parts.with(a, "blockIndexer", other));
  }

  private void ofGroupedQuery(GroupedQuery a, List<Mistake> mistakes) {
    if (a.distances() != null) {
      ofDistances(a.distances(), mistakes);
    }
    if (a.blockIndexer() != null) {
      ofBlocks(a, a.blockIndexer(), mistakes);
    }
    for (Member<GroupedQuery> member : OF_ATTENTION) {
      attention(mistakes, a, member, member.absent());
      for (Architecture.Blocks other : model.runs()) {
        if (other.attention() instanceof GroupedQuery o) {
          attention(mistakes, a, member, member.of().apply(o));
        }
      }
    }
    if (a.scoreCap() == null) {
      attention(mistakes, a, SCORE_CAP, LOGIT_CAP);
    }
    if (a.valueNorm() == null) {
      attention(mistakes, a, VALUE_NORM, model.normEpsilon());
    }
    if (a.valueFactor() == null) {
      attention(mistakes, a, VALUE_FACTOR, SMALLER_VALUES);
    }
    Gate gate = a.gate();
    if (gate != null) {
      for (Opening other : Opening.values()) {
        Gate opened = Parts.with(gate, "opening", other);
        String cause = opens(words(gate.opening()), words(other));
        attention(mistakes, cause, x -> with(x, "gate", opened));
      }
    }
    for (int width = 1; width < Math.min(tokens, WIDEST_WINDOW); width++) {
      attention(mistakes, a, WINDOW, width);
      attention(mistakes, a, CHUNK, width);
      attention(mistakes, a, TEMPERATURE, new Temperature(TEMPERATURE_SCALE, width));
    }
    if (a.rotary() == null) {
      supposed(a.headSize()).forEach(r -> attention(mistakes, a, ROTARY, r));
      if (a.headSize() % 4 == 0) {
        supposed(a.headSize() / 2)
            .filter(r -> r.scaling() == null)
            .forEach(r -> attention(mistakes, a, ROTARY, r));
      }
    }
    for (boolean after : new boolean[] {false, true}) {
      QueryKeyNorm own = a.queryKeyNorm();
      if (own == null) {
        var norm = new QueryKeyNorm(NormSpan.HEAD, model.normEpsilon(), false, after);
        attention(mistakes, a, QUERY_KEY_NORM, norm);
      } else {
        QueryKeyNorm other = Parts.with(own, "afterRotation", after);
        String cause = "query/key norm %s instead of %s rotation";
        attention(
            mistakes,
            after ? cause.formatted("before", "after") : cause.formatted("after", "before"),
            x -> with(x, "queryKeyNorm", other));
      }
    }
  }

  private static Attention with(Attention attention, String member, @Nullable Object value) {
    return Parts.with((GroupedQuery) attention, member, value);
  }

  private void attention(
      List<Mistake> mistakes, GroupedQuery a, Member<GroupedQuery> member, @Nullable Object other) {
    Object own = member.of().apply(a);
    attention(mistakes, words(member, own, other), x -> with(x, member.name(), other));
  }

  private static String words(Member<?> member, @Nullable Object own, @Nullable Object other) {
    if (Objects.equals(other, member.absent())) {
      return "a " + member.noun() + " that the reference does not have";
    }
    return Objects.equals(own, member.absent())
        ? "a dropped " + member.noun() + value(" of ", other)
        : "a " + member.noun() + value(" of ", own) + " instead of " + value("", other).strip();
  }

  private static String value(String before, @Nullable Object value) {
    return value instanceof Number n
        ? before + Figures.number(n.doubleValue())
        : before.isEmpty() ? "another layer's" : "";
  }

  private void attention(List<Mistake> mistakes, String cause, UnaryOperator<Attention> change) {
    suppose(mistakes, cause, () -> with(change.apply(blocks.attention())));
  }

  private void suppose(List<Mistake> mistakes, String cause, Supplier<Architecture> right) {
    try {
      add(mistakes, cause, right.get());
    } catch (IllegalArgumentException e) {
      // No model is like that.
    }
  }

  private void add(List<Mistake> mistakes, String cause, Architecture right) {
    if (!right.equals(model)) {
      mistakes.add(new Mistake(cause, right));
    }
  }

  private Architecture with(Attention other) {
    return model.withBlocks(b -> b.equals(blocks) ? b.withAttention(other) : b);
  }

  private Architecture with(FeedForward other) {
    return model.withBlocks(b -> b.equals(blocks) ? b.withFeedForward(other) : b);
  }

  /** Other rotary embeddings by what the package's is then. */
  private Map<String, Rotary> rotaries(Rotary own) {
    Map<String, Rotary> others = new LinkedHashMap<>();
    others.put(
        switch (own.pairing()) {
          case HALVES -> "interleaved rotary dimensions read as halves";
          case INTERLEAVED -> "rotary halves read as interleaved dimensions";
        },
        own.withPairing(own.pairing() == Pairing.HALVES ? Pairing.INTERLEAVED : Pairing.HALVES));
    if (own.scaling() instanceof Yarn yarn) {
      stretches(yarn).forEach((cause, other) -> others.put(cause, own.withScaling(other)));
    }
    if (own.scaling() != null) {
      String what = own.scaling() instanceof Yarn ? "YaRN" : "rotary scaling";
      others.put(what + " that the reference does not use", own.withScaling(null));
    } else {
      for (Rotary.Scaling stretch : STRETCHES) {
        others.put("dropped rotary scaling " + stretch, own.withScaling(stretch));
      }
    }
    for (double base : BASES) {
      others.put(base(own, base), Parts.with(own, "theta", base));
    }
    // Factors are as many as pairs.
    if (blocks.attention() instanceof GroupedQuery a
        && !(own.scaling() instanceof Rotary.LongRope)) {
      Rotary.Scaling scaling = own.scaling() instanceof Rotary.Proportional ? null : own.scaling();
      for (int size = 2; size <= a.headSize(); size += 2) {
        others.put(
            "%d rotary dimensions instead of %d".formatted(own.dimensions(), size),
            Parts.with(own.withScaling(scaling), "dimensions", size));
      }
      for (int pairs = 1; pairs < a.headSize() / 2; pairs++) {
        others.put(
            "%d pairs of dimensions turned instead of %d of %d"
                .formatted(turned(own), pairs, a.headSize() / 2),
            new Rotary(own.theta(), a.headSize(), own.pairing(), new Rotary.Proportional(pairs)));
      }
    }
    return others;
  }

  private static int turned(Rotary rotary) {
    return rotary.scaling() instanceof Rotary.Proportional some
        ? some.pairs()
        : rotary.dimensions() / 2;
  }

  private static String base(Rotary rotary, double other) {
    return instead("rotary base", rotary.theta(), other);
  }

  private static String instead(String what, double own, double other) {
    return "%s %s instead of %s".formatted(what, Figures.number(own), Figures.number(other));
  }

  private static Map<String, Yarn> stretches(Yarn yarn) {
    Map<String, Yarn> others = new LinkedHashMap<>();
    List<Double> roots = new ArrayList<>(List.of(1.0));
    for (double mscale : MSCALES) {
      roots.add(0.1 * mscale * Math.log(Math.max(1, yarn.factor())) + 1);
    }
    for (double root : roots) {
      others.putIfAbsent(
          yarn.softmaxFactor() == 1
              ? "the YaRN softmax factor ignored, which is " + Figures.number(root * root)
              : factor("softmax factor", yarn.softmaxFactor(), root * root),
          yarn.withFactors(yarn.magnitude(), root * root));
    }
    for (double above : roots) {
      for (double below : roots) {
        others.putIfAbsent(
            factor("magnitude of cosines and sines", yarn.magnitude(), above / below),
            yarn.withFactors(above / below, yarn.softmaxFactor()));
      }
    }
    others.put(
        yarn.exactBounds()
            ? "YaRN between exact bounds"
            : "YaRN between bounds that are whole pairs",
        Parts.with(yarn, "exactBounds", !yarn.exactBounds()));
    return others;
  }

  private static String factor(String what, double ours, double theirs) {
    return "a YaRN %s of %s instead of %s"
        .formatted(what, Figures.number(ours), Figures.number(theirs));
  }

  /** What may be wrong with experts, shared ones among them, and with the router's own bias. */
  List<Mistake> ofExperts() {
    List<Mistake> mistakes = new ArrayList<>();
    if (!(blocks.feedForward() instanceof MixtureOfExperts m)) {
      return mistakes;
    }
    Routing routing = m.routing();
    for (FeedForward.Activation other : FeedForward.Activation.values()) {
      if (m.clamp() == null) {
        add(
            mistakes,
            "%s instead of %s inside experts".formatted(words(m.activation()), words(other)),
            with(Parts.with(m, "activation", other)));
      }
    }
    boolean free = routing.drops() == null && !m.byTask();
    for (WeightsApplyTo other : free ? WeightsApplyTo.values() : NONE) {
      add(
          mistakes,
          other == WeightsApplyTo.EXPERT_OUTPUT
              ? "weights on the input of experts instead of their output"
              : "weights on the output of experts instead of their input",
          with(m.withRouting(Parts.with(routing, "weightsApplyTo", other))));
    }
    Clamp clamp = m.clamp();
    if (clamp != null) {
      add(mistakes, "a clamp inside experts that the reference does not have", clamped(m, null));
      for (String member : List.of("sharpness", "offset")) {
        double own = member.equals("offset") ? clamp.offset() : clamp.sharpness();
        for (double other : new double[] {0, 1, CLAMP.sharpness()}) {
          if (other != 0 || member.equals("offset")) {
            add(
                mistakes,
                instead(member + " of the clamp inside experts", own, other),
                clamped(m, Parts.with(clamp, member, other)));
          }
        }
      }
    } else if (m.activation() == FeedForward.Activation.SILU && !m.ungated()) {
      add(mistakes, "a dropped clamp inside experts", clamped(m, CLAMP));
    }
    add(
        mistakes,
        "biases of experts that the reference does not have",
        with(Parts.with(m, "biases", false)));
    for (Routing.@Nullable Bias bias :
        new Routing.@Nullable Bias[] {Routing.Bias.LOGITS, Routing.Bias.SELECTION, null}) {
      if (routing.bias() != null
          && (routing.groups() == null
              || routing.groups().maskValue() != Routing.Groups.MaskValue.ZERO)) {
        add(
            mistakes,
            "a router bias of %s instead of %s".formatted(words(routing.bias()), words(bias)),
            with(m.withRouting(routing.withBias(bias))));
      }
    }
    add(
        mistakes,
        "a bias of what experts make together that the reference does not have",
        with(Parts.with(m, "outputBias", false)));
    if (m.shared() != null && clamp != null) {
      boolean clamped = m.shared().clamped();
      add(
          mistakes,
          clamped
              ? "a clamp inside shared experts that the reference does not have"
              : "a dropped clamp inside shared experts",
          with(clampedShared(m, m.shared(), !clamped)));
    }
    if (m.shared() != null) {
      add(mistakes, "shared experts that the reference does not have", with(m.withoutShared()));
      if (m.shared().mixed()) {
        add(
            mistakes,
            "routed and shared experts mixed instead of added",
            with(Parts.with(m, "shared", Parts.with(m.shared(), "mixed", false))));
        return mistakes;
      }
      add(
          mistakes,
          m.outputFactors() == null
              ? "routed and shared experts added instead of averaged"
              : "factors of routed and shared experts that the reference does not have",
          with(
              Parts.with(
                  m,
                  "outputFactors",
                  m.outputFactors() == null ? new OutputFactors(0.5, 0.5) : null)));
      add(
          mistakes,
          "a switch of shared experts that the reference does not have",
          with(Parts.with(m, "shared", Parts.with(m.shared(), "switched", false))));
    }
    return mistakes;
  }

  private static String words(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  private static String words(Routing.@Nullable Bias bias) {
    return bias == null ? "nothing" : bias.name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }

  private Architecture clamped(MixtureOfExperts m, @Nullable Clamp clamp) {
    FeedForward.SharedExperts shared = m.shared();
    // One that there is not is no one's.
    if (clamp == null && shared != null && shared.clamped()) {
      return with(Parts.with(clampedShared(m, shared, false), "clamp", null));
    }
    return with(Parts.with(m, "clamp", clamp));
  }

  private static MixtureOfExperts clampedShared(
      MixtureOfExperts m, FeedForward.SharedExperts shared, boolean clamped) {
    return Parts.with(m, "shared", Parts.with(shared, "clamped", clamped));
  }

  /** What may be wrong with the model as a whole. */
  List<Mistake> ofModel() {
    List<Mistake> mistakes = new ArrayList<>();
    if (!model.offsetNorms()) {
      add(
          mistakes,
          model.centredNorms()
              ? "norms about the mean instead of about zero"
              : "norms about zero instead of about the mean",
          Parts.with(model, "centredNorms", !model.centredNorms()));
    }
    if (!model.centredNorms()) {
      add(
          mistakes,
          model.offsetNorms()
              ? "one added to norm weights"
              : "norm weights stored as differences from one",
          Parts.with(model, "offsetNorms", !model.offsetNorms()));
    }
    ofResidual(mistakes);
    Architecture.Sinusoids positions = model.positions();
    for (int other = 0; positions != null && other <= MOST_POSITIONS; other++) {
      add(
          mistakes,
          instead("first position", positions.first(), other),
          Parts.with(model, "positions", Parts.with(positions, "first", other)));
    }
    if (positions != null) {
      add(
          mistakes,
          "positions in embeddings that the reference does not have",
          Parts.with(model, "positions", null));
    }
    Architecture.Streams streams = model.streams();
    for (int other = 1; streams != null && other <= MOST_ITERATIONS; other++) {
      add(
          mistakes,
          instead("normalisations of mixed streams", streams.iterations(), other),
          Parts.with(model, "streams", Parts.with(streams, "iterations", other)));
    }
    if (model.logitCap() != null) {
      add(
          mistakes,
          "a cap of logits that the reference does not have",
          Parts.with(model, "logitCap", null));
    }
    Multipliers own = model.multipliers();
    if (own != null) {
      for (boolean inverse : new boolean[] {false, true}) {
        multiplied(mistakes, "embedding", own.embedding(), inverse);
        multiplied(mistakes, "residual", own.residual(), inverse);
        multiplied(mistakes, "logits", own.logits(), inverse);
      }
    }
    return mistakes;
  }

  /** Whether halves are added to what they read, and how they meet the residual stream. */
  private void ofResidual(List<Mistake> mistakes) {
    boolean normed = model.hasNormedResidual();
    if (normed || model.normPlacement() == null) {
      suppose(
          mistakes,
          normed
              ? "halves of a layer added to what they read instead of the residual stream"
              : "halves of a layer added to the residual stream instead of what they read",
          () -> Parts.with(model, "normPlacement", normed ? null : NormPlacement.RESIDUAL));
    }
    for (Half half : Half.values()) {
      ResidualScale own = half.scale(blocks);
      if (own != null) {
        add(
            mistakes,
            "factors of the %s's residual that the reference does not have".formatted(half.words),
            scaled(half, null));
      }
    }
  }

  /** What a half of a layer has of its own. */
  private enum Half {
    ATTENTION("attention", "attentionResidual"),
    FEED_FORWARD("feed-forward part", "feedForwardResidual");

    private final String words;
    private final String member;

    Half(String words, String member) {
      this.words = words;
      this.member = member;
    }

    @Nullable ResidualScale scale(Architecture.Blocks blocks) {
      return this == ATTENTION ? blocks.attentionResidual() : blocks.feedForwardResidual();
    }
  }

  /** Of all layers that have what this one has. */
  private Architecture scaled(Half half, @Nullable ResidualScale other) {
    ResidualScale own = half.scale(blocks);
    boolean first = half == Half.ATTENTION;
    Class<?> kind = (first ? blocks.attention() : blocks.feedForward()).getClass();
    return model.withBlocks(
        b ->
            kind.isInstance(first ? b.attention() : b.feedForward())
                    && Objects.equals(own, half.scale(b))
                ? Parts.with(b, half.member, other)
                : b);
  }

  /** What the residual stream, and what is added to it, may be multiplied by in a half. */
  List<Scalar> residualScales(boolean ofAttention) {
    Half half = ofAttention ? Half.ATTENTION : Half.FEED_FORWARD;
    ResidualScale own = half.scale(blocks);
    double kept = own == null ? 1 : own.kept();
    double added = own == null ? 1 : own.added();
    Scalar ofAdded =
        number(
            "factor of what the %s adds".formatted(half.words),
            added,
            100,
            33,
            x -> scaled(half, ResidualScale.of(kept, x)));
    // Times 0, any factor is that.
    return kept == 0
        ? List.of(ofAdded)
        : List.of(
            number(
                "factor of the residual stream at the " + half.words,
                kept,
                100,
                33,
                x -> scaled(half, ResidualScale.of(x, added))),
            ofAdded);
  }

  /**
   * What may be wrong with the embedding's multiplier.
   *
   * @param quotient how many times the package's embedding the reference's is
   */
  List<Mistake> ofEmbedding(double quotient) {
    double own = model.multipliers() == null ? 1 : model.multipliers().embedding();
    return multiplied("embedding", own, quotient);
  }

  /**
   * Likewise with that of logits.
   *
   * @param quotient how many times the package's logits the reference's are
   */
  List<Mistake> ofLogits(double quotient) {
    double own = model.multipliers() == null ? 1 : model.multipliers().logits();
    return multiplied("logits", own, quotient);
  }

  private List<Mistake> multiplied(String member, double own, double quotient) {
    double other = own * quotient;
    List<Mistake> mistakes = new ArrayList<>();
    suppose(mistakes, instead(member + " multiplier", own, other), () -> multiplied(member, other));
    return mistakes;
  }

  private void multiplied(List<Mistake> mistakes, String member, double own, boolean inverse) {
    double other = inverse ? 1 / own : 1;
    if (other != own) {
      add(mistakes, instead(member + " multiplier", own, other), multiplied(member, other));
    }
  }

  private Architecture multiplied(String member, double value) {
    Multipliers m = model.multipliers();
    double residual = m == null ? 1 : m.residual();
    double embedding = m == null ? 1 : m.embedding();
    double logits = m == null ? 1 : m.logits();
    return Parts.with(
        model,
        "multipliers",
        switch (member) {
          case "embedding" -> Multipliers.of(value, residual, logits);
          case "residual" -> Multipliers.of(embedding, value, logits);
          default -> Multipliers.of(embedding, residual, value);
        });
  }

  /** Numbers that the attention may have wrong. */
  List<Scalar> numbersOfAttention() {
    List<Scalar> numbers = new ArrayList<>();
    if (blocks.attention() instanceof GatedDelta d) {
      numbers.add(epsilon("norm of what states give", d, "normEpsilon", d.normEpsilon()));
      numbers.add(epsilon("length of queries and keys", d, "unitEpsilon", d.unitEpsilon()));
    }
    if (blocks.attention() instanceof Mamba m) {
      numbers.add(epsilon("norms of steps, keys and queries", m, "normEpsilon", m.normEpsilon()));
    }
    if (blocks.attention() instanceof Mamba2 m) {
      numbers.add(epsilon("norm of what states give", m, "normEpsilon", m.normEpsilon()));
      double least = m.leastStep() == 0 ? LEAST_STEP : m.leastStep();
      numbers.add(number("least step", least, 1000, 33, s -> with(Parts.with(m, "leastStep", s))));
    }
    if (blocks.attention() instanceof Lightning l) {
      numbers.add(epsilon("norm of what states give", l, "normEpsilon", l.normEpsilon()));
    }
    if (!(blocks.attention() instanceof Softmax a)) {
      return numbers;
    }
    Rotary rotary = a.rotary();
    if (rotary != null) {
      numbers.add(
          number(
              "rotary base",
              rotary.theta(),
              2,
              41,
              theta -> with(a.withRotary(Parts.with(rotary, "theta", theta)))));
    }
    numbers.add(number("attention scale", a.scale(), 100, 33, s -> with(a.withScale(s))));
    if (a instanceof GroupedQuery g && g.headExperts() == null) {
      numbers.add(
          number(
              g.clip() == null ? "dropped clip" : "clip of queries, keys and values",
              g.clip() == null ? 1 : g.clip(),
              100,
              33,
              c -> with(with(a, "clip", c))));
    }
    if (a instanceof GroupedQuery g) {
      numbers.add(
          number(
              g.scoreCap() == null
                  ? "a dropped cap of scores, infinity as the cap"
                  : "cap of scores",
              g.scoreCap() == null ? LOGIT_CAP : g.scoreCap(),
              100,
              33,
              c -> with(with(a, "scoreCap", c))));
      if (g.temperature() != null) {
        numbers.add(scale(g.temperature(), other -> with(with(g, "temperature", other))));
      }
      if (g.queryKeyNorm() != null) {
        numbers.add(epsilon(g, g.queryKeyNorm()));
      }
    }
    if (a instanceof MultiHeadLatent l) {
      double factor = l.latentFactor() == null ? 1 : l.latentFactor();
      numbers.add(
          number(
              "factor of latents",
              factor,
              100,
              33,
              f -> with(Parts.with(l, "latentFactor", f == 1 ? null : f))));
    }
    if (a instanceof MultiHeadLatent l && l.temperature() != null) {
      Temperature own = l.temperature();
      numbers.add(scale(own, other -> with(Parts.with(l, "temperature", other))));
    }
    return numbers;
  }

  private static Scalar scale(Temperature own, Function<Temperature, Architecture> with) {
    return number(
        "scale of the temperature",
        own.scale(),
        100,
        33,
        s -> with.apply(Parts.with(own, "scale", s)));
  }

  private <A extends Record & Attention> Scalar epsilon(
      String of, A part, String member, double own) {
    return number("epsilon of the " + of, own, 1e6, 25, e -> with(Parts.with(part, member, e)));
  }

  private Scalar epsilon(GroupedQuery a, QueryKeyNorm own) {
    return number(
        "epsilon of the query/key norm",
        own.epsilon(),
        1e6,
        25,
        e -> with(with(a, "queryKeyNorm", Parts.with(own, "epsilon", e))));
  }

  /** Numbers that experts may have wrong. */
  List<Scalar> numbersOfExperts() {
    if (!(blocks.feedForward() instanceof MixtureOfExperts m)
        || m.activation() != FeedForward.Activation.SILU
        || m.ungated()) {
      return List.of();
    }
    Clamp clamp = m.clamp() == null ? CLAMP : m.clamp();
    String dropped = m.clamp() == null ? "a dropped clamp: " : "";
    return List.of(
        number(
            dropped + "limit inside experts",
            clamp.limit(),
            100,
            33,
            x -> clamped(m, Parts.with(clamp, "limit", x))),
        number(
            dropped + "sharpness of the gate inside experts",
            clamp.sharpness(),
            10,
            33,
            x -> clamped(m, Parts.with(clamp, "sharpness", x))));
  }

  /** What the sum over experts is multiplied by before shared ones are added to it. */
  List<Scalar> numberOfRouted() {
    if (!(blocks.feedForward() instanceof MixtureOfExperts m)
        || m.shared() == null
        || m.shared().mixed()) {
      return List.of();
    }
    OutputFactors own = m.outputFactors();
    double routed = own == null ? 1 : own.routed();
    double shared = own == null ? 1 : own.shared();
    return List.of(
        number(
            "factor of what routed experts make",
            routed,
            100,
            33,
            x -> with(Parts.with(m, "outputFactors", OutputFactors.of(x, shared)))));
  }

  /** What logits are held below; where nothing does, by such as released models have. */
  Scalar logitCap() {
    Double own = model.logitCap();
    return number(
        own == null ? "a dropped cap of logits, infinity as the cap" : "cap of logits",
        own == null ? LOGIT_CAP : own,
        100,
        33,
        c -> Parts.with(model, "logitCap", c));
  }

  /** The epsilon of every norm. */
  Scalar epsilon() {
    double own = model.normEpsilon();
    return new Scalar(
        e -> "norm epsilon %s instead of about %.2g".formatted(Figures.number(own), e),
        own,
        1e-6,
        1e6,
        25,
        model::withNormEpsilon);
  }

  /** What either half of a layer is multiplied by. */
  Scalar residual() {
    double own = model.multipliers() == null ? 1 : model.multipliers().residual();
    return number("residual multiplier", own, 100, 33, r -> multiplied("residual", r));
  }

  private static Scalar number(
      String what, double own, double range, int points, DoubleFunction<Architecture> with) {
    return new Scalar(x -> instead(what, own, x), own, 1 / range, range, points, with);
  }

  /** Vectors that the attention may lack. */
  List<Missing> missingInAttention() {
    List<Missing> missing = new ArrayList<>();
    if (blocks.attention() instanceof ShortConvolution c && !c.biases()) {
      missing.add(
          missing(
              "dropped biases of a convolution",
              with(Parts.with(c, "biases", true)),
              "convolution.",
              0,
              Map.of(
                  "input.bias",
                  3 * c.width(),
                  "taps.bias",
                  c.width(),
                  "output.bias",
                  model.hiddenSize())));
    }
    if (blocks.attention() instanceof Mamba m) {
      missing(missing, m, m.convolutionBias(), m.width(), m.biases(), 2 * m.width());
    }
    if (blocks.attention() instanceof Mamba2 m) {
      int rows = m.values() + m.mixed() + m.heads();
      missing(missing, m, m.convolutionBias(), m.mixed(), m.biases(), rows);
    }
    if (!(blocks.attention() instanceof GroupedQuery a)) {
      return missing;
    }
    int queries = a.heads() * a.headSize();
    int keys = a.keyValueHeads() * a.headSize();
    if (!a.outputBias()) {
      missing(missing, a, OUTPUT_BIAS, true, 0, Map.of("output.bias", model.hiddenSize()));
    }
    // Beside those of experts there is nothing else.
    if (a.headExperts() != null) {
      return missing;
    }
    if (!a.sinks()) {
      missing(missing, a, SINKS, true, 0, Map.of("sinks", a.heads()));
    }
    if (!a.biases()) {
      missing(
          missing,
          a,
          BIASES,
          true,
          0,
          Map.of(
              "query.bias",
              queries,
              "key.bias",
              keys,
              "value.bias",
              a.keyValueHeads() * a.valuesOfHead()));
    }
    if (a.queryKeyNorm() == null) {
      missing(missing, a, NormSpan.HEAD, false, a.headSize(), a.headSize());
      missing(missing, a, NormSpan.HEAD, true, a.headSize(), a.headSize());
      missing(missing, a, NormSpan.ALL_HEADS, false, queries, keys);
    }
    return missing;
  }

  private <A extends Record & Attention> void missing(
      List<Missing> missing, A a, boolean convolved, int channels, boolean biased, int rows) {
    if (!convolved) {
      missing.add(
          missing(
              "dropped biases of a convolution",
              with(Parts.with(a, "convolutionBias", true)),
              "mamba.",
              0,
              Map.of("convolution.bias", channels)));
    }
    if (!biased) {
      missing.add(
          missing(
              "dropped biases of projections",
              with(Parts.with(a, "biases", true)),
              "mamba.",
              0,
              Map.of("input.bias", rows, "output.bias", model.hiddenSize())));
    }
  }

  private void missing(
      List<Missing> missing,
      GroupedQuery a,
      NormSpan span,
      boolean afterRotation,
      int queries,
      int keys) {
    var norm = new QueryKeyNorm(span, model.normEpsilon(), true, afterRotation);
    Map<String, Integer> sizes = Map.of("query_norm.weight", queries, "key_norm.weight", keys);
    missing(missing, a, QUERY_KEY_NORM, norm, 1, sizes);
  }

  private void missing(
      List<Missing> missing,
      GroupedQuery a,
      Member<GroupedQuery> member,
      Object value,
      double start,
      Map<String, Integer> sizes) {
    missing.add(
        missing(
            words(member, member.of().apply(a), value),
            with(with(a, member.name(), value)),
            "attention.",
            start,
            sizes));
  }

  /** Vectors that a norm of what half a layer reads may lack. */
  List<Missing> missingInNorm(String half) {
    boolean others =
        model.blocks().stream().anyMatch(run -> model.readsResidual(run.feedForward()));
    // Those of a layer that reads an encoder's output are of more norms.
    boolean more = others || model.prediction() != null || blocks.cross() != null;
    return model.normBiases() || model.normPlacement() != null || more
        ? List.of()
        : List.of(
            missing(
                "a dropped bias of norms",
                Parts.with(model, "normBiases", true),
                half + "_norm.",
                0,
                Map.of("bias", model.hiddenSize())));
  }

  /** What a whole layer may be multiplied by. */
  List<Missing> missingInLayer() {
    return model.layerFactors()
        ? List.of()
        : List.of(
            missing(
                "a dropped factor of the layer",
                Parts.with(model, "layerFactors", true),
                "layer.",
                1,
                Map.of("factor", 1)));
  }

  /** What weights of experts may be multiplied by. */
  List<Missing> missingInWeights() {
    return blocks.feedForward() instanceof MixtureOfExperts m
            && !m.routing().factors()
            && m.routing().hierarchy() == null
        ? List.of(
            missing(
                "dropped factors of experts' weights",
                with(m.withRouting(Parts.with(m.routing(), "factors", true))),
                "router.",
                1,
                Map.of("factors", m.experts())))
        : List.of();
  }

  /** Vectors that the head may lack. */
  List<Missing> missingInHead() {
    return model.headBias()
        ? List.of()
        : List.of(
            new Missing(
                "a dropped bias of the head",
                Parts.with(model, "headBias", true),
                Map.of(Role.HEAD_BIAS.tensor(), new double[model.vocabSize()])));
  }

  /** Vectors that the router or the shared experts may lack. */
  List<Missing> missingInExperts() {
    List<Missing> missing = new ArrayList<>();
    if (blocks.feedForward() instanceof MixtureOfExperts m) {
      // Beside a table there is none, nor beside angles or gates of two levels.
      if (m.routing().bias() == null
          && !m.routing().assigned()
          && m.routing().cosine() == null
          && m.routing().hierarchy() == null) {
        missing.add(
            missing(
                "a dropped bias of the router's logits",
                with(m.withRouting(m.routing().withBias(Routing.Bias.LOGITS))),
                "router.",
                0,
                Map.of("bias", m.experts())));
      }
      if (m.shared() != null && !m.shared().switched() && !m.shared().mixed()) {
        missing.add(
            missing(
                "a dropped switch of the shared experts",
                with(Parts.with(m, "shared", Parts.with(m.shared(), "switched", true))),
                "shared.",
                0,
                Map.of("switch.weight", model.hiddenSize())));
      }
    }
    return missing;
  }

  private Missing missing(
      String cause, Architecture right, String part, double start, Map<String, Integer> sizes) {
    Map<String, double[]> vectors = new LinkedHashMap<>();
    new TreeMap<>(sizes)
        .forEach(
            (name, size) -> {
              double[] values = new double[size];
              Arrays.fill(values, start);
              vectors.put(prefix + part + name, values);
            });
    return new Missing(cause, right, vectors);
  }
}
