package dev.moxie.format.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Attention.Compressed;
import dev.moxie.format.model.Attention.GatedDelta;
import dev.moxie.format.model.Attention.GroupedQuery;
import dev.moxie.format.model.Attention.Lightning;
import dev.moxie.format.model.Attention.Mamba;
import dev.moxie.format.model.Attention.Mamba2;
import dev.moxie.format.model.Attention.MultiHeadLatent;
import dev.moxie.format.model.Attention.NormSpan;
import dev.moxie.format.model.Attention.Projections;
import dev.moxie.format.model.Attention.QueryKeyNorm;
import dev.moxie.format.model.Attention.ShortConvolution;
import dev.moxie.format.model.FeedForward.Activation;
import dev.moxie.format.model.FeedForward.MixtureOfExperts;
import dev.moxie.format.model.FeedForward.SharedExperts;
import dev.moxie.format.model.Routing.Drops.Order;
import dev.moxie.format.model.Routing.Groups;
import dev.moxie.format.model.Routing.Groups.Aggregate;
import dev.moxie.format.model.Routing.Groups.MaskValue;
import dev.moxie.format.model.Routing.Normalisation;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * The table of equations in SPEC.md is what {@link Forward} computes, as {@link Symbols} reads it.
 */
class SpecEquationsTest {
  private static final Path SPEC = Path.of("SPEC.md");
  private static final String HEAD = "| part, or a member of it |";

  /**
   * What stands in the manifest under a name has a number of its own, by which it is recognised.
   */
  private static final Map<String, String> NAMES =
      Map.ofEntries(
          Map.entry("0.7310", "scale"),
          Map.entry("14", "headSize"),
          Map.entry("84", "heads · headSize"),
          Map.entry("42", "keyValueHeads · headSize"),
          Map.entry("17", "window"),
          Map.entry("19", "chunk"),
          Map.entry("7.5", "clip"),
          Map.entry("0.19", "temperature.scale"),
          Map.entry("8192.0", "temperature.floor"),
          Map.entry("13", "indexer.kept"),
          Map.entry("60", "blockIndexer.block"),
          Map.entry("64", "blockIndexer.size"),
          Map.entry("63", "blockIndexer.kept − blockIndexer.local"),
          Map.entry("61", "blockIndexer.local"),
          Map.entry("32", "latentSize"),
          Map.entry("40", "latentSize + dimensions"),
          Map.entry("53", "latentSize + sharedSize"),
          Map.entry("28", "headSize + headSize"),
          Map.entry("25", "keySize"),
          Map.entry("11", "valueSize"),
          Map.entry("75", "keys"),
          Map.entry("150", "keys + keys"),
          Map.entry("216", "keys + keys + values"),
          Map.entry("0.04", "1 / keySize"),
          Map.entry("0.2", "1 / √keySize"),
          Map.entry("50", "keySize + keySize"),
          Map.entry("72", "keySize + keySize + served"),
          Map.entry("94", "group"),
          Map.entry("2", "shared"),
          Map.entry("4", "shared + shared"),
          Map.entry("33", "width"),
          Map.entry("66", "width + width"),
          Map.entry("99", "width + width + width"),
          Map.entry("43", "stepRank"),
          Map.entry("70", "stepRank + stateSize"),
          Map.entry("97", "stepRank + stateSize + stateSize"),
          Map.entry("186", "values"),
          Map.entry("297", "values + keys"),
          Map.entry("408", "mixed"),
          Map.entry("594", "values + mixed"),
          Map.entry("600", "values + mixed + heads"),
          Map.entry("62", "values / normGroups"),
          Map.entry("0.031", "leastStep"),
          Map.entry("29", "headSize"),
          Map.entry("58", "headSize + headSize"),
          Map.entry("87", "headSize + headSize + headSize"),
          Map.entry("3.7", "kept"),
          Map.entry("0.9", "added"),
          Map.entry("7.1", "clamp.limit"),
          Map.entry("1.7", "clamp.sharpness"),
          Map.entry("1.9", "clamp.offset"),
          Map.entry("5", "expertsPerToken"),
          Map.entry("9", "count"),
          Map.entry("6", "kept"),
          Map.entry("0.013", "epsilon"),
          Map.entry("0.018", "least"),
          Map.entry("0.021", "mixer.tolerance"),
          Map.entry("2.3", "scale"),
          Map.entry("12.5", "multipliers.embedding"),
          Map.entry("0.22", "multipliers.residual"),
          Map.entry("0.06", "multipliers.logits"),
          Map.entry("29.0", "logitCap"),
          Map.entry("29.5", "scoreCap"),
          Map.entry("0.71", "valueFactor"),
          Map.entry("1.3", "outputFactors.routed"),
          Map.entry("0.6", "outputFactors.shared"),
          Map.entry("0.125", "1 / √hiddenSize"),
          Map.entry("128", "streams.count · hiddenSize"),
          Map.entry("21", "streams.iterations"),
          Map.entry("0.017", "streams.epsilon"),
          Map.entry("3", "groups"),
          Map.entry("12", "prototypes"),
          Map.entry("22", "E′"),
          Map.entry("16", "towers.tasks"),
          Map.entry("23", "tokens"),
          Map.entry("27", "drops.tokens"),
          Map.entry("31", "positions.first"),
          Map.entry("26", "drops.least"),
          Map.entry("98.0", "cosine.most"),
          Map.entry("18", "hierarchy.groups"),
          Map.entry("54", "hierarchy.groups + experts"),
          Map.entry("15", "hierarchy.kept"),
          Map.entry("0.37", "drops.fraction"),
          Map.entry("2.7", "latentFactor"),
          Map.entry("20", "experts − identities"));

  private static final Pattern NUMBER = Pattern.compile("(?<![\\w.])\\d+(\\.\\d+)?(?![\\w.])");

  private static final Rotary ROTARY = new Rotary(10000, 8, Rotary.Pairing.HALVES, null);
  private static final GroupedQuery GROUPED = new GroupedQuery(6, 3, 14, 0.731, null, ROTARY);
  private static final GroupedQuery EVERYTHING =
      new GroupedQuery(
          6,
          3,
          14,
          0.731,
          29.5,
          17,
          19,
          true,
          true,
          new QueryKeyNorm(NormSpan.HEAD, 1e-6, true, false),
          7.5,
          true,
          new Attention.Temperature(0.19, 8192),
          true,
          null,
          true,
          null,
          1e-6,
          0.71,
          ROTARY,
          false,
          null,
          null,
          null);
  private static final GatedDelta DELTA =
      new GatedDelta(3, 6, 25, 11, 7, 1e-6, 1e-6, Projections.BY_KIND);
  private static final ShortConvolution CONVOLUTION = new ShortConvolution(33, 7, false);
  private static final Mamba MAMBA = new Mamba(33, 27, 43, 7, 1e-6, false, false);
  private static final Mamba2 MAMBA2 = new Mamba2(6, 3, 31, 37, 7, 1e-6, 1, 0, false, false);
  private static final Lightning LIGHTNING = new Lightning(6, 29, 1e-6);
  private static final Compressed COMPRESSED =
      new Compressed(6, 14, 28, 0.731, 17, 3, 16, 1e-6, ROTARY, null);
  private static final MultiHeadLatent LATENT =
      new MultiHeadLatent(6, null, 32, 14, 14, 0.731, 1e-6, ROTARY);
  private static final FeedForward.Dense DENSE = new FeedForward.Dense(96, Activation.SILU);
  private static final Routing ROUTING =
      new Routing(
          5,
          Routing.Score.SOFTMAX,
          null,
          null,
          null,
          1,
          Routing.WeightsApplyTo.EXPERT_OUTPUT,
          Routing.Capacity.UNLIMITED,
          Routing.Ties.LOWER_EXPERT_ID,
          Dtype.F32);
  private static final Routing ROUTING_OF_MANY =
      ROUTING
          .withBias(Routing.Bias.SELECTION)
          .withGroups(new Groups(9, 6, Aggregate.SUM_OF_TOP_TWO, MaskValue.NEGATIVE_INFINITY))
          .withNormalisation(new Normalisation(0.013))
          .withScale(2.3);
  private static final FeedForward.Clamp CLAMP = new FeedForward.Clamp(7.1, 1.7, 1.9);
  private static final MixtureOfExperts MIXTURE =
      new MixtureOfExperts(36, 24, Activation.SILU, ROUTING, null);
  private static final Architecture MODEL =
      new Architecture(
          128, 64, 512, 1e-5, false, List.of(new Architecture.Blocks(1, GROUPED, DENSE)), null);
  private static final Architecture.Prediction PREDICTION =
      new Architecture.Prediction(1, GROUPED, DENSE);

  private final StringBuilder table =
      new StringBuilder(HEAD + " equations; of a member, the lines that it changes |\n|---|---|\n");

  @Test
  void theSpecificationShowsEveryPartAsItIsComputed() throws IOException {
    showModel();
    showAttention();
    showFeedForward();
    showRouting();
    String text = Files.readString(SPEC);
    int start = text.indexOf(HEAD);
    String written =
        text.substring(0, start) + table + text.substring(text.indexOf("\n\n", start) + 1);
    if (Boolean.getBoolean("moxie.rewrite")) {
      Files.writeString(SPEC, written);
      return;
    }
    assertEquals(written, text, "write it anew with -Dmoxie.rewrite=true");
  }

  private void showModel() {
    row("the whole, here of one layer", logits(MODEL));
    var model = new Members<>("", MODEL, SpecEquationsTest::logits);
    model.with("centredNorms", true);
    model.with("normBiases", true);
    model.with("headBias", true);
    for (NormPlacement placement : NormPlacement.values()) {
      model.with("normPlacement", placement, json(placement));
    }
    model.with("offsetNorms", true);
    model.with("tiedEmbeddings", true);
    model.with("multipliers", new Architecture.Multipliers(12.5, 0.22, 0.06));
    model.with("layerFactors", true);
    model.with("logitCap", 29.0);
    model.with("streams", new Architecture.Streams(2, 21, 0.017));
    model.with("positions", new Architecture.Sinusoids(31, null));
    var scale = new Architecture.ResidualScale(3.7, 0.9);
    Architecture.Blocks run = MODEL.blocks().getFirst();
    for (String half : List.of("attentionResidual", "feedForwardResidual")) {
      List<Architecture.Blocks> scaled = List.of(Parts.with(run, half, scale));
      model.with("blocks", scaled, "with `" + half + "`");
    }
    var seen = Parts.with(GROUPED, "bidirectional", true);
    Map<String, Object> image =
        Map.of(
            "image",
            new Architecture.Image(48, 35),
            "tiedEmbeddings",
            false,
            "blocks",
            List.of(new Architecture.Blocks(1, seen, DENSE)));
    row("`image`", logits(Parts.with(MODEL, image)));
    var answering = new Architecture.Image(48, null, new Architecture.Towers(16, 35));
    row("`image.towers`", ending(Parts.with(Parts.with(MODEL, image), "image", answering)));
    var cross = new Attention.Cross(6, 14, 0.731, true);
    var encoder = new Architecture.Encoder(0, List.of(new Architecture.Blocks(1, seen, DENSE)));
    List<Architecture.Blocks> blocks =
        List.of(Parts.with(MODEL.blocks().getFirst(), "cross", cross));
    row(
        "a layer of the decoder, where there is an `encoder`",
        Symbols.layer(Parts.with(MODEL, Map.of("encoder", encoder, "blocks", blocks)), 1));
    row(
        "`prediction`",
        Symbols.lines(
            MODEL, "h", (f, h) -> f.predictionHead(0, f.predicted(PREDICTION, 0, h)), "logits"));
    // An epsilon stands in no equation.
    model.requireAllBut("prediction", "encoder", "image", "finalNormEpsilon");
  }

  private static List<String> ending(Architecture model) {
    return Symbols.lines(model, "h", (forward, h) -> forward.head(h), "logits");
  }

  private static List<String> logits(Architecture model) {
    return Symbols.lines(model, "token", (forward, _) -> forward.logits(), "logits");
  }

  private void showAttention() {
    row("attention, `grouped_query`", attended(GROUPED));
    var grouped = new Members<>("attention.", GROUPED, SpecEquationsTest::attended);
    grouped.with("scoreCap", EVERYTHING.scoreCap());
    grouped.with("window", 17);
    grouped.with("chunk", 19);
    grouped.with("biases", true);
    grouped.with("outputBias", true);
    for (NormSpan span : NormSpan.values()) {
      var norm = new QueryKeyNorm(span, 1e-6, true, false);
      grouped.with("queryKeyNorm", norm, json(span));
      grouped.with(
          "queryKeyNorm", Parts.with(norm, "weighted", false), json(span) + ", not `weighted`");
      grouped.with(
          "queryKeyNorm",
          Parts.with(norm, "afterRotation", true),
          json(span) + ", `afterRotation`");
    }
    grouped.with("clip", EVERYTHING.clip());
    grouped.with("sinks", true);
    grouped.with("temperature", EVERYTHING.temperature());
    grouped.with("temperature", new Attention.Temperature(0.19, 8192, true), "`fromZero`");
    grouped.with("outputGate", true);
    for (Attention.Opening opening : Attention.Opening.values()) {
      grouped.with("gate", new Attention.Gate(opening, false), json(opening));
    }
    grouped.with("keysAsValues", true);
    grouped.with("valueNorm", EVERYTHING.valueNorm());
    grouped.with("valueFactor", EVERYTHING.valueFactor());
    grouped.with("bidirectional", true);
    grouped.with("distances", new Attention.Distances(44, 61));
    grouped.with("rotary", null);
    grouped.with("blockIndexer", new Attention.BlockIndexer(2, 64, 60, 124, 61, 1e-6));
    // The width of values stands in no equation; those of experts of heads, in the text.
    grouped.requireAllBut("valueSize", "headExperts");
    row("attention, `grouped_query`, with all that go together", attended(EVERYTHING));
    row("attention, `multi_head_latent`", attended(LATENT));
    var latent = new Members<>("attention.", LATENT, SpecEquationsTest::attended);
    latent.with("queryRank", 28);
    latent.with("temperature", EVERYTHING.temperature());
    latent.with("latentFactor", 2.7);
    // One stands in the place of the other.
    latent.requireAllBut("indexer", "rotary", "sharedSize");
    row(
        "attention, `multi_head_latent`, with `sharedSize` in the place of `rotary`",
        attended(Parts.with(LATENT.withRotary(null), "sharedSize", 21)));
    var indexer = new Attention.Indexer(4, 10, 13, 1e-6, Rotary.Pairing.HALVES);
    row(
        "attention, `multi_head_latent`, with `queryRank` and `indexer`",
        attended(Parts.with(Parts.with(LATENT, "queryRank", 28), "indexer", indexer)));
    row("attention, `compressed`", attended(COMPRESSED));
    var compressed = new Members<>("attention.", COMPRESSED, SpecEquationsTest::attended);
    var entries = new Attention.Compression(23, false, null);
    compressed.with("compression", entries);
    compressed.with("compression", Parts.with(entries, "overlapping", true), "`overlapping`");
    compressed.with("compression", Parts.with(entries, "indexer", indexer), "`indexer`");
    compressed.requireAllBut();
    row("attention, `gated_delta`", attended(DELTA));
    var delta = new Members<>("attention.", DELTA, SpecEquationsTest::attended);
    delta.with("projections", Projections.BY_KEY_HEAD, json(Projections.BY_KEY_HEAD));
    delta.with("projections", Projections.APART, json(Projections.APART));
    delta.with("decayRank", 19);
    delta.with("gateRank", 19);
    delta.with("sigmoidGates", true);
    delta.requireAllBut();
    row("attention, `short_convolution`", attended(CONVOLUTION));
    var convolution = new Members<>("attention.", CONVOLUTION, SpecEquationsTest::attended);
    convolution.with("biases", true);
    convolution.requireAllBut();
    row("attention, `mamba`", attended(MAMBA));
    var first = new Members<>("attention.", MAMBA, SpecEquationsTest::attended);
    first.with("convolutionBias", true);
    first.with("biases", true);
    first.requireAllBut();
    row("attention, `mamba2`", attended(MAMBA2));
    var mamba = new Members<>("attention.", MAMBA2, SpecEquationsTest::attended);
    mamba.with("normGroups", 3);
    mamba.with("leastStep", 0.031);
    mamba.with("convolutionBias", true);
    mamba.with("biases", true);
    mamba.requireAllBut();
    row("attention, `lightning`", attended(LIGHTNING));
  }

  private static List<String> attended(Attention attention) {
    return Symbols.lines(MODEL, "h", (forward, h) -> forward.attended(0, attention, h), "h");
  }

  private void showFeedForward() {
    row("feedForward, `dense`", Symbols.lines(MODEL, "x", (f, x) -> f.dense(0, DENSE, x), "y"));
    var dense =
        new Members<>(
            "feedForward.", DENSE, d -> Symbols.lines(MODEL, "x", (f, x) -> f.dense(0, d, x), "y"));
    dense.with("ungated", true);
    dense.with("biases", true);
    dense.with("activation", Activation.RELU, json(Activation.RELU));
    dense.with("activation", Activation.RELU_SQUARED, json(Activation.RELU_SQUARED));
    dense.with("clamp", CLAMP);
    dense.requireAllBut();
    row("feedForward, `mixture_of_experts`", Symbols.mixture(MODEL, MIXTURE));
    var mixture = new Members<>("feedForward.", MIXTURE, m -> Symbols.mixture(MODEL, m));
    mixture.with("activation", Activation.GELU_TANH, json(Activation.GELU_TANH));
    mixture.with("ungated", true);
    mixture.with("clamp", CLAMP);
    mixture.with("biases", true);
    mixture.with("shared", new SharedExperts(48));
    mixture.with("shared", new SharedExperts(48, true), "`switched`");
    var clamped = Parts.with(MIXTURE, "clamp", CLAMP);
    mixture.with(
        "shared", "`clamped`", Parts.with(clamped, "shared", new SharedExperts(48, false, true)));
    mixture.with("shared", new SharedExperts(48, false, false, true), "`mixed`");
    mixture.with("beside", new FeedForward.Beside(96));
    mixture.with("identities", 16);
    mixture.with("outputBias", true);
    var gates = Parts.with(ROUTING, Map.of("expertsPerToken", 264, "prototypes", 12));
    mixture.with(
        "byTask",
        "",
        Parts.with(MIXTURE, Map.of("experts", 264, "routing", gates, "byTask", true)));
    var shared = Parts.with(MIXTURE, "shared", new SharedExperts(48));
    mixture.with(
        "outputFactors",
        "",
        Parts.with(shared, "outputFactors", new FeedForward.OutputFactors(1.3, 0.6)));
    mixture.requireAllBut("shortcut");
    var shortcut = Parts.with(MIXTURE, "shortcut", new FeedForward.Shortcut(96));
    var layer = new Architecture.Blocks(1, GROUPED, shortcut);
    row(
        "a layer with `feedForward.shortcut`",
        Symbols.layer(Parts.with(MODEL, "blocks", List.of(layer)), 0));
  }

  private void showRouting() {
    var routing =
        new Members<>("routing.", ROUTING, r -> Symbols.mixture(MODEL, MIXTURE.withRouting(r)));
    routing.with("mixer", "", ROUTING.withMixer(new Routing.Mixer(0.021)));
    routing.with("score", Routing.Score.SIGMOID, json(Routing.Score.SIGMOID));
    routing.with("score", Routing.Score.SQRT_SOFTPLUS, json(Routing.Score.SQRT_SOFTPLUS));
    routing.with("capacity", json(Routing.Capacity.LIMITED), dropping(27, null, false));
    routing.with("drops", "`fraction`", dropping(null, 0.37, false));
    routing.with("drops", "`afterNormalisation`", dropping(27, null, true));
    routing.with(
        "drops",
        "`least`",
        ROUTING.withDrops(Parts.with(new Routing.Drops(null, 0.37, false), "least", 26)));
    var byScore = Parts.with(new Routing.Drops(27, null, false), "order", Order.CHOICE_THEN_SCORE);
    routing.with("drops", json(Order.CHOICE_THEN_SCORE), ROUTING.withDrops(byScore));
    routing.with("cosine", new Routing.Cosine(34, 98.0));
    routing.with("assigned", true);
    var tabled = Parts.with(ROUTING, "assigned", true);
    routing.with("score", json(Routing.Score.ONE), tabled.withScore(Routing.Score.ONE));
    var sets = Parts.with(ROUTING, Map.of("expertsPerToken", 12, "prototypes", 12));
    routing.with("prototypes", "as many as `expertsPerToken`", sets);
    var nested =
        Parts.with(
            ROUTING, Map.of("expertsPerToken", 15, "hierarchy", new Routing.Hierarchy(18, 15)));
    routing.with("hierarchy", "whose `kept` are as many as `expertsPerToken`", nested);
    routing.with("factors", true);
    routing.with("logitCap", 29.0);
    for (Routing.Bias bias : Routing.Bias.values()) {
      routing.with("bias", bias, json(bias));
    }
    for (Aggregate aggregate : Aggregate.values()) {
      for (MaskValue mask : MaskValue.values()) {
        routing.with(
            "groups", new Groups(9, 6, aggregate, mask), json(aggregate) + ", " + json(mask));
      }
    }
    routing.with("normalisation", new Normalisation(0.013));
    routing.with("normalisation", new Normalisation(0.013, 0.018), "`least`");
    routing.with("scale", 2.3);
    routing.with(
        "weightsApplyTo",
        Routing.WeightsApplyTo.EXPERT_INPUT,
        json(Routing.WeightsApplyTo.EXPERT_INPUT));
    // The precision of the equation is no part of it.
    routing.requireAllBut("computeDtype");
    row(
        "feedForward, `mixture_of_experts`, with several of them",
        Symbols.mixture(
            MODEL,
            new MixtureOfExperts(
                36,
                24,
                Activation.SILU,
                false,
                CLAMP,
                true,
                ROUTING_OF_MANY,
                new SharedExperts(48),
                null,
                null)));
  }

  private static Routing dropping(
      @Nullable Integer tokens, @Nullable Double fraction, boolean afterNormalisation) {
    return ROUTING.withDrops(new Routing.Drops(tokens, fraction, afterNormalisation));
  }

  /** Rows of a part's members, each with another value than the part has. */
  private final class Members<P extends Record> {
    private final String prefix;
    private final P part;
    private final Function<P, List<String>> equations;
    private final Set<String> shown = new TreeSet<>();

    private Members(String prefix, P part, Function<P, List<String>> equations) {
      this.prefix = prefix;
      this.part = part;
      this.equations = equations;
    }

    private void with(String member, @Nullable Object value) {
      with(member, value, value == null ? "null or absent" : "");
    }

    private void with(String member, @Nullable Object value, String words) {
      with(member, words, Parts.with(part, member, value));
    }

    /** With others changed that go with it. */
    private void with(String member, String words, P other) {
      List<String> changed = new ArrayList<>(equations.apply(other));
      changed.removeAll(equations.apply(part));
      shown.add(member);
      row(("`" + prefix + member + "` " + words).strip(), changed);
    }

    /** Whatever may be absent, or takes one of several values, is shown. */
    private void requireAllBut(String... others) {
      shown.addAll(List.of(others));
      assertEquals(
          List.of(),
          Arrays.stream(part.getClass().getRecordComponents())
              .filter(SpecEquationsTest::isOption)
              .map(RecordComponent::getName)
              .filter(member -> !shown.contains(member))
              .toList());
    }
  }

  private static boolean isOption(RecordComponent member) {
    Class<?> type = member.getType();
    return type == boolean.class
        || member.getAnnotatedType().isAnnotationPresent(Nullable.class)
        || (type.isEnum() && type.getEnumConstants().length > 1);
  }

  private void row(String name, List<String> lines) {
    assertFalse(lines.isEmpty(), name);
    String equations =
        lines.stream().map(line -> "`" + named(line) + "`").collect(Collectors.joining("<br>"));
    table.append("| ").append(name).append(" | ").append(equations).append(" |\n");
  }

  private static String named(String line) {
    String named =
        NUMBER
            .matcher(line)
            .replaceAll(number -> NAMES.getOrDefault(number.group(), number.group()));
    assertTrue(
        NUMBER.matcher(named).results().allMatch(n -> n.group().matches("[01]")),
        "a number without a name: " + named);
    return named;
  }

  private static String json(Enum<?> value) {
    return "`" + StrictJson.mapper(false).valueToTree(value).stringValue() + "`";
  }
}
