package dev.moxie.format.pack;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** Packages of models with the parts that most models lack: SPEC.md, sections 4 and 5. */
final class PartsVectors {
  private static final Rotary PLAIN = new Rotary(1e4, 2, Rotary.Pairing.HALVES, null);

  /** Every optional member at least once, in four layers. */
  private static final Architecture ALL = all();

  private static final Architecture INDEXED =
      TinyPackage.LATENT
          .withBlocks(
              run ->
                  run.withAttention(
                      Parts.with(
                          (Attention.MultiHeadLatent) run.attention(),
                          "indexer",
                          new Attention.Indexer(2, 3, 5, 1e-6, Rotary.Pairing.HALVES))))
          .withPrediction(0);

  /** What no attention of the other has, and norms that it cannot have. */
  private static final Architecture STATES = states();

  /** States whose rows decay by themselves, and latent attention without positions. */
  private static final Architecture BY_ROW = byRow();

  private static final Architecture CONVOLUTIONS = convolutions();

  private static final Architecture MAMBAS = mambas();

  private static final Architecture HALVES = halves();

  /** Residual streams, entries of tokens, and experts that a table has. */
  private static final Architecture STREAMS = streams();

  /** A network beside experts, heads of two sizes, and what is done to logits and whole layers. */
  private static final Architecture BESIDE = beside();

  /** Networks without gates, and experts that take no more than some tokens. */
  private static final Architecture UNGATED = ungated();

  /** Heads that see blocks, and a network whose products are held within bounds. */
  private static final Architecture BLOCKS = blocks();

  /** An encoder of two layers, and a decoder of two. */
  private static final Architecture ENCODED = encoded();

  /** What systems have that published equations alone. */
  private static final Architecture PAPERS = papers();

  /** An image, a representation of it, and experts whose queues the best tokens lead. */
  private static final Architecture SEEING = seeing();

  /** Gates of tasks over the same experts, which nothing is added to, and towers. */
  private static final Architecture TASKS = tasks();

  /** Halves side by side, gates with matrices of their own, values narrower than keys. */
  private static final Architecture SIDE_BY_SIDE = sideBySide();

  /** Experts without weights, beside which a layer attends again. */
  private static final Architecture AGAIN = again();

  /** Queries and outputs of experts, a bias of the sum over experts, a last norm of its own. */
  private static final Architecture HEADS = heads();

  private PartsVectors() {}

  private static Architecture all() {
    var plain = new Attention.GroupedQuery(2, 1, 4, 0.5, null, null);
    var normed = with(plain, "queryKeyNorm", norm(Attention.NormSpan.HEAD, true, false));
    var tempered = with(normed, "temperature", new Attention.Temperature(0.1, 8));
    var first = plain.withWindow(3);
    first = with(first, "chunk", 4);
    first = with(first, "biases", true);
    first = with(first, "outputBias", true);
    first = with(first, "queryKeyNorm", norm(Attention.NormSpan.ALL_HEADS, true, true));
    first = with(first, "clip", 8.0);
    first = with(first, "sinks", true);
    first = with(first, "outputGate", true);
    first = first.withRotary(PLAIN.withScaling(new Rotary.Llama3(8, 1, 1, 64)));
    var bare = with(plain, "queryKeyNorm", norm(Attention.NormSpan.HEAD, false, false));
    var dense = new FeedForward.Dense(3, FeedForward.Activation.SILU);
    var model =
        new Architecture(
            5,
            4,
            16,
            1e-5,
            false,
            List.of(
                new Architecture.Blocks(1, first, experts()),
                new Architecture.Blocks(1, tempered, dense),
                new Architecture.Blocks(
                    1,
                    bare.withRotary(PLAIN.withScaling(new Rotary.Yarn(4, 8, 32, 1, 1, 1, true))),
                    dense),
                new Architecture.Blocks(
                    1, plain.withRotary(PLAIN.withScaling(new Rotary.Linear(2))), dense)),
            null);
    return Parts.with(
        Parts.with(model, "centredNorms", true),
        "multipliers",
        new Architecture.Multipliers(1, 0.5, 1));
  }

  private static Architecture states() {
    var dense = new FeedForward.Dense(3, FeedForward.Activation.SILU);
    List<Architecture.Blocks> layers =
        Stream.of(Attention.Projections.values())
            .map(p -> new Attention.GatedDelta(1, 2, 3, 2, 4, 1e-6, 1e-5, p))
            .map(a -> new Architecture.Blocks(1, a, dense))
            .toList();
    var model = new Architecture(5, 4, 16, 1e-5, false, layers, null);
    return Parts.with(model, "offsetNorms", true);
  }

  private static Architecture byRow() {
    var dense = new FeedForward.Dense(3, FeedForward.Activation.SILU);
    var plain = new Attention.GatedDelta(1, 2, 3, 2, 4, 1e-6, 1e-5, Attention.Projections.APART);
    var rows = Parts.with(plain, Map.of("decayRank", 2, "gateRank", 3, "sigmoidGates", true));
    var latent =
        new Attention.MultiHeadLatent(2, null, 4, 2, 3, 0.5, 1e-6, null, 3, null, null, null);
    List<Architecture.Blocks> layers =
        Stream.of(rows, latent).map(a -> new Architecture.Blocks(1, a, dense)).toList();
    return new Architecture(5, 4, 16, 1e-5, false, layers, null);
  }

  private static Architecture convolutions() {
    var dense = new FeedForward.Dense(3, FeedForward.Activation.SILU);
    List<Architecture.Blocks> layers =
        Stream.of(true, false)
            .map(biases -> new Attention.ShortConvolution(6, 3, biases))
            .map(a -> new Architecture.Blocks(1, a, dense))
            .toList();
    return new Architecture(5, 4, 16, 1e-5, true, layers, null);
  }

  private static Architecture firstMambas() {
    var dense = new FeedForward.Dense(3, FeedForward.Activation.SILU);
    List<Architecture.Blocks> layers =
        Stream.of(true, false)
            .map(all -> new Attention.Mamba(6, 3, 2, 4, 1e-5, all, all))
            .map(a -> new Architecture.Blocks(1, a, dense))
            .toList();
    return new Architecture(5, 4, 16, 1e-5, false, layers, null);
  }

  private static Architecture mambas() {
    var dense = new FeedForward.Dense(3, FeedForward.Activation.SILU);
    List<Architecture.Blocks> layers =
        Stream.of(true, false)
            .map(
                all ->
                    new Attention.Mamba2(4, 2, 3, 2, 4, 1e-5, all ? 2 : 1, all ? 0.1 : 0, all, all))
            .map(a -> new Architecture.Blocks(1, a, dense))
            .toList();
    return new Architecture(5, 4, 16, 1e-5, false, layers, null);
  }

  private static Architecture lightning() {
    var dense = new FeedForward.Dense(3, FeedForward.Activation.SILU);
    var scale = new Architecture.ResidualScale(3.5, 0.5);
    List<Architecture.Blocks> layers =
        Stream.of("attentionResidual", "feedForwardResidual")
            .map(
                half ->
                    Parts.with(
                        new Architecture.Blocks(1, new Attention.Lightning(2, 3, 1e-6), dense),
                        half,
                        scale))
            .toList();
    var model = new Architecture(5, 4, 16, 1e-5, false, layers, null);
    return Parts.with(model, "normPlacement", Architecture.NormPlacement.RESIDUAL);
  }

  private static Architecture halves() {
    var squared = FeedForward.Activation.RELU_SQUARED;
    var routing = Routing.of(2, Routing.Score.SIGMOID).withBias(Routing.Bias.SELECTION);
    var gated =
        new FeedForward.MixtureOfExperts(4, 2, squared, routing, new FeedForward.SharedExperts(3));
    var none = new Attention.None();
    var mamba = new Attention.Mamba2(4, 2, 3, 2, 4, 1e-5, 2, 0.1, true, false);
    List<Architecture.Blocks> layers =
        List.of(
            new Architecture.Blocks(1, mamba, new FeedForward.None()),
            new Architecture.Blocks(1, none, Parts.with(gated, "ungated", true)),
            new Architecture.Blocks(1, none, new FeedForward.Dense(3, squared, true, false)));
    return new Architecture(5, 4, 16, 1e-5, false, layers, null);
  }

  private static Architecture streams() {
    var indexer = new Attention.Indexer(2, 3, 5, 1e-6, Rotary.Pairing.INTERLEAVED);
    var experts =
        new FeedForward.MixtureOfExperts(
            4,
            2,
            FeedForward.Activation.SILU,
            Parts.with(Routing.of(2, Routing.Score.SQRT_SOFTPLUS), "assigned", true),
            null);
    FeedForward clamped =
        Parts.with(
            Parts.with(experts, "clamp", new FeedForward.Clamp(7, 1, 0)),
            "shared",
            new FeedForward.SharedExperts(3, false, true));
    List<Architecture.Blocks> layers =
        Stream.of(
                null,
                new Attention.Compression(3, false, null),
                new Attention.Compression(2, true, indexer))
            .map(c -> new Attention.Compressed(4, 3, 5, 0.5, 3, 2, 6, 1e-6, PLAIN, c))
            .map(a -> new Architecture.Blocks(1, a, clamped))
            .toList();
    var model = new Architecture(5, 4, 16, 1e-5, true, layers, null);
    return Parts.with(model, "streams", new Architecture.Streams(2, 3, 1e-6));
  }

  private static Architecture beside() {
    var experts =
        new FeedForward.MixtureOfExperts(
            4,
            2,
            FeedForward.Activation.GELU_TANH,
            Parts.with(Routing.of(2, Routing.Score.SOFTMAX), "factors", true),
            null);
    FeedForward both = Parts.with(experts, "beside", new FeedForward.Beside(3));
    var values = with(new Attention.GroupedQuery(2, 1, 4, 1, 3, PLAIN), "valueNorm", 1e-6);
    var some = new Rotary(1e4, 6, Rotary.Pairing.HALVES, new Rotary.Proportional(1));
    var wide = with(new Attention.GroupedQuery(2, 2, 6, 1, null, some), "keysAsValues", true);
    List<Architecture.Blocks> layers =
        Stream.of(values, with(wide, "biases", true))
            .map(a -> new Architecture.Blocks(1, a, both))
            .toList();
    var model = new Architecture(5, 4, 16, 1e-5, true, layers, null);
    var normed = Parts.with(model, "normPlacement", Architecture.NormPlacement.INPUT_AND_OUTPUT);
    return Parts.with(Parts.with(normed, "layerFactors", true), "logitCap", 30.0);
  }

  private static Architecture ungated() {
    var plain = new Attention.GroupedQuery(2, 1, 4, 0.5, null, PLAIN);
    var dense = new FeedForward.Dense(3, FeedForward.Activation.RELU, true, true);
    var gated = new FeedForward.Dense(3, FeedForward.Activation.RELU, false, true);
    var routing =
        Routing.of(2, Routing.Score.SOFTMAX).withNormalisation(new Routing.Normalisation(0, 1e-7));
    List<FeedForward> others =
        Stream.of(new Routing.Drops(3, null, false), new Routing.Drops(null, 0.5, true))
            .map(routing::withDrops)
            .map(
                r ->
                    new FeedForward.MixtureOfExperts(
                        4,
                        2,
                        FeedForward.Activation.RELU,
                        true,
                        null,
                        r.looksAhead(),
                        r,
                        new FeedForward.SharedExperts(3),
                        null,
                        null))
            .map(FeedForward.class::cast)
            .toList();
    List<Architecture.Blocks> layers =
        Stream.concat(Stream.of(dense, gated), others.stream())
            .map(f -> new Architecture.Blocks(1, plain, f))
            .toList();
    return new Architecture(5, 4, 16, 1e-5, true, layers, null);
  }

  private static Architecture encoded() {
    var distances = new Attention.Distances(4, 9);
    var plain =
        Parts.with(new Attention.GroupedQuery(2, 2, 3, 0.5, null, null), "distances", distances);
    var dense = new FeedForward.Dense(3, FeedForward.Activation.RELU, true, true);
    var both = with(plain, "bidirectional", true);
    var encoder =
        new Architecture.Encoder(
            3,
            List.of(
                new Architecture.Blocks(1, both, dense),
                new Architecture.Blocks(1, with(both, "biases", true), dense)));
    List<Architecture.Blocks> decoder =
        Stream.of(true, false)
            .map(biases -> new Attention.Cross(2, 5, 0.5, biases))
            .map(cross -> Parts.with(new Architecture.Blocks(1, plain, dense), "cross", cross))
            .toList();
    var alone =
        new Architecture(
            5, 4, 16, 1e-5, true, List.of(new Architecture.Blocks(1, plain, dense)), null);
    return Parts.with(
        alone,
        Map.of(
            "centredNorms",
            true,
            "normBiases",
            true,
            "positions",
            new Architecture.Sinusoids(2, 1),
            "encoder",
            encoder,
            "blocks",
            decoder));
  }

  private static Architecture papers() {
    var own = new Attention.Distances(4, 9, true);
    var attention = with(new Attention.GroupedQuery(2, 2, 3, 0.5, null, null), "distances", own);
    var routing = Routing.of(2, Routing.Score.SOFTMAX);
    var tabled = Parts.with(routing, "assigned", true).withScore(Routing.Score.ONE);
    var some = Parts.with(new Routing.Drops(null, 0.25, true), "least", 3);
    var angles = Parts.with(routing.withDrops(some), "cosine", new Routing.Cosine(3, 100));
    var nested = Parts.with(routing, "hierarchy", new Routing.Hierarchy(2, 2));
    var mixed = new FeedForward.SharedExperts(3, false, false, true);
    List<FeedForward> others =
        Stream.of(routing.withPrototypes(2), tabled, nested, angles)
            .map(r -> new FeedForward.MixtureOfExperts(4, 2, FeedForward.Activation.RELU, r, mixed))
            .map(FeedForward.class::cast)
            .toList();
    List<Architecture.Blocks> layers =
        others.stream().map(f -> new Architecture.Blocks(1, attention, f)).toList();
    return new Architecture(5, 4, 16, 1e-5, true, layers, null);
  }

  private static Architecture seeing() {
    var attention = new Attention.GroupedQuery(2, 2, 2, 0.5, null, null);
    var order = Routing.Drops.Order.CHOICE_THEN_SCORE;
    var routing =
        Routing.of(2, Routing.Score.SOFTMAX)
            .withDrops(new Routing.Drops(3, null, null, order, false));
    FeedForward experts =
        new FeedForward.MixtureOfExperts(4, 2, FeedForward.Activation.GELU_TANH, routing, null);
    var layer = new Architecture.Blocks(1, attention, experts);
    var model = new Architecture(5, 4, 5, 1e-6, false, List.of(layer), null);
    var ahead = layer.withAttention(with(attention, "bidirectional", true));
    return Parts.with(
        model, Map.of("image", new Architecture.Image(12, 3), "blocks", List.of(ahead)));
  }

  private static Architecture tasks() {
    var attention = new Attention.GroupedQuery(2, 2, 2, 0.5, null, null);
    var gates = Routing.of(6, Routing.Score.SOFTMAX).withPrototypes(2);
    FeedForward experts =
        Parts.with(
            new FeedForward.MixtureOfExperts(
                6, 2, FeedForward.Activation.RELU, true, null, true, gates, null, null, null),
            "byTask",
            true);
    var layer = new Architecture.Blocks(1, attention, experts);
    var alone = Parts.with(layer, "feedForwardResidual", new Architecture.ResidualScale(0, 1));
    var model = new Architecture(6, 4, 5, 1e-6, false, List.of(alone), null);
    var ahead = alone.withAttention(with(attention, "bidirectional", true));
    var image = new Architecture.Image(3, null, new Architecture.Towers(2, 5));
    return Parts.with(model, Map.of("image", image, "blocks", List.of(ahead), "headBias", true));
  }

  private static Architecture sideBySide() {
    var routing = Parts.with(Routing.of(2, Routing.Score.SIGMOID), "logitCap", 3.0);
    var plain =
        new FeedForward.MixtureOfExperts(
            4, 2, FeedForward.Activation.SILU, routing, new FeedForward.SharedExperts(3));
    FeedForward averaged =
        Parts.with(plain, "outputFactors", new FeedForward.OutputFactors(0.5, 0.25));
    var wide = new Attention.GroupedQuery(4, 2, 4, 0.5, null, PLAIN);
    var capped = with(wide, "scoreCap", 30.0);
    var each = with(capped, "gate", new Attention.Gate(Attention.Opening.SIGMOID, false));
    var narrow = with(with(wide, "valueSize", 3), "valueFactor", 0.75);
    var biased = with(narrow, "biases", true);
    var heads = with(biased, "gate", new Attention.Gate(Attention.Opening.SOFTPLUS, true));
    var numbers = with(narrow, "gate", each.gate());
    List<Architecture.Blocks> layers =
        Stream.of(each, heads, numbers).map(a -> new Architecture.Blocks(1, a, averaged)).toList();
    var model = new Architecture(5, 4, 16, 1e-5, true, layers, null);
    return Parts.with(model, "normPlacement", Architecture.NormPlacement.SHARED_INPUT);
  }

  private static Architecture heads() {
    FeedForward experts =
        Parts.with(
            new FeedForward.MixtureOfExperts(
                4, 2, FeedForward.Activation.SILU, Routing.of(2, Routing.Score.SOFTMAX), null),
            "outputBias",
            true);
    var own = new Attention.HeadExperts(3, 2);
    var plain = with(new Attention.GroupedQuery(2, 1, 4, 0.5, null, PLAIN), "headExperts", own);
    List<Architecture.Blocks> layers =
        List.of(
            new Architecture.Blocks(1, plain, experts),
            new Architecture.Blocks(1, with(plain, "outputBias", true), experts));
    var model = new Architecture(5, 4, 16, 1e-5, true, layers, null);
    return Parts.with(model, "finalNormEpsilon", 1e-6);
  }

  private static Architecture blocks() {
    var indexer = new Attention.BlockIndexer(1, 3, 2, 3, 1, 1e-6);
    var plain = new Attention.GroupedQuery(2, 1, 4, 0.5, null, PLAIN);
    var clamp = new FeedForward.Clamp(7, 1.702, 1);
    var dense = new FeedForward.Dense(3, FeedForward.Activation.SILU, false, false, clamp);
    List<Architecture.Blocks> layers =
        List.of(
            new Architecture.Blocks(1, plain, dense),
            new Architecture.Blocks(1, with(plain, "blockIndexer", indexer), dense));
    return new Architecture(5, 4, 16, 1e-5, true, layers, null);
  }

  private static Architecture again() {
    var experts =
        new FeedForward.MixtureOfExperts(
            4, 2, FeedForward.Activation.SILU, Routing.of(2, Routing.Score.SOFTMAX), null);
    FeedForward some = Parts.with(experts, "identities", 1);
    FeedForward again =
        Parts.with(experts, Map.of("identities", 2, "shortcut", new FeedForward.Shortcut(3)));
    var latent = new Attention.MultiHeadLatent(2, 3, 4, 2, 3, 0.5, 1e-6, PLAIN);
    var grouped = new Attention.GroupedQuery(2, 1, 4, 0.5, null, PLAIN);
    List<Architecture.Blocks> layers =
        List.of(
            new Architecture.Blocks(1, Parts.with(latent, "latentFactor", 2.0), again),
            new Architecture.Blocks(1, grouped, again),
            new Architecture.Blocks(1, grouped, some));
    return new Architecture(5, 4, 16, 1e-5, true, layers, null);
  }

  private static Attention.GroupedQuery with(
      Attention.GroupedQuery attention, String member, Object value) {
    return Parts.with(attention, member, value);
  }

  private static Attention.QueryKeyNorm norm(
      Attention.NormSpan span, boolean weighted, boolean afterRotation) {
    return new Attention.QueryKeyNorm(span, 1e-6, weighted, afterRotation);
  }

  /** A bias of logits leaves scores above zero, so that zero may be what groups are masked with. */
  private static FeedForward experts() {
    var groups =
        new Routing.Groups(2, 1, Routing.Groups.Aggregate.MAXIMUM, Routing.Groups.MaskValue.ZERO);
    var routing =
        Routing.of(2, Routing.Score.SIGMOID)
            .withBias(Routing.Bias.LOGITS)
            .withGroups(groups)
            .withNormalisation(new Routing.Normalisation(0, 0.25));
    var mixture =
        new FeedForward.MixtureOfExperts(
            4,
            2,
            FeedForward.Activation.SILU,
            Parts.with(routing, "weightsApplyTo", Routing.WeightsApplyTo.EXPERT_INPUT),
            new FeedForward.SharedExperts(3, true));
    return Parts.with(
        Parts.with(mixture, "biases", true), "clamp", new FeedForward.Clamp(7, 1.702, -1));
  }

  static void write(ConformanceVectors v) throws IOException {
    v.valid("every-optional-part", "every optional member of an architecture", PartsVectors::write);
    v.valid(
        "states-and-norms-from-one",
        "the gated delta rule, all kinds of its projections, norms from one",
        p -> TinyPackage.write(p, STATES, false));
    v.valid(
        "states-by-row",
        "rows of states that decay by themselves, latents of gates and decays, and latent attention"
            + " that knows no positions",
        p -> TinyPackage.write(p, BY_ROW, false));
    v.broken("ranks-by-key-head", "A11", "latents in joined projections", "decayRank")
        .in(p -> TinyPackage.write(p, BY_ROW, false))
        .byManifest(text -> text.replace("\"apart\"", "\"by_key_head\""));
    v.broken("a-shared-key-of-two-widths", "A11", "both widths of a shared key", "sharedSize")
        .in(p -> TinyPackage.write(p, AGAIN, false))
        .byManifest(
            text -> text.replaceFirst("\"latentSize\"", "\"sharedSize\" : 2, \"latentSize\""));
    v.broken("a-shared-key-of-no-width", "A11", "neither rotary nor sharedSize", "sharedSize")
        .in(p -> TinyPackage.write(p, BY_ROW, false))
        .byManifest(text -> text.replaceFirst(",\\s*\"sharedSize\" : 3", ""));
    v.broken("latent-of-decays-missing", "I7", "no latent", "layers.0.delta.decay_down.weight")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    BY_ROW,
                    TinyPackage.Stored.COPIED,
                    items -> TensorVectors.without(items, "layers.0.delta.decay_down.weight")));
    v.broken("norms-from-one-and-about-the-mean", "A10", "both of two norms", "offsetNorms")
        .in(PartsVectors::write)
        .byWords("\"centredNorms\" : true,", "\"centredNorms\" : true, \"offsetNorms\" : true,");
    v.broken("states-without-a-key", "A2", "keyHeads does not divide valueHeads", "keyHeads")
        .in(p -> TinyPackage.write(p, STATES, false))
        .byManifest(text -> text.replaceFirst("\"keyHeads\" : 1", "\"keyHeads\" : 3"));
    v.valid(
        "short-convolutions",
        "short convolutions with biases and without, wider than the residual stream",
        p -> TinyPackage.write(p, CONVOLUTIONS, false));
    v.broken("convolution-without-a-token", "A1", "a convolution of no token", "convolution")
        .in(p -> TinyPackage.write(p, CONVOLUTIONS, false))
        .byManifest(text -> text.replace("\"convolution\" : 3", "\"convolution\" : 0"));
    v.broken("convolution-bias-missing", "I7", "no bias of a convolution", "convolution.taps.bias")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    CONVOLUTIONS,
                    TinyPackage.Stored.COPIED,
                    items -> TensorVectors.without(items, "layers.0.convolution.taps.bias")));
    v.valid(
        "mamba",
        "Mamba with all that it may have and without",
        p -> TinyPackage.write(p, firstMambas(), false));
    v.valid(
        "mamba2",
        "Mamba-2 with all that it may have and without",
        p -> TinyPackage.write(p, MAMBAS, false));
    v.broken("mamba2-of-heads-in-no-groups", "A2", "groups do not divide heads", "groups")
        .in(p -> TinyPackage.write(p, MAMBAS, false))
        .byManifest(text -> text.replaceFirst("\"groups\" : 2", "\"groups\" : 3"));
    v.valid(
        "lightning",
        "lightning attention, a residual stream that is normed and scaled",
        p -> TinyPackage.write(p, lightning(), false));
    v.broken("residual-scale-of-one", "A9", "factors that are both 1", "residualScale")
        .in(p -> TinyPackage.write(p, lightning(), false))
        .byManifest(
            text ->
                text.replaceFirst("\"kept\" : 3.5", "\"kept\" : 1.0")
                    .replaceFirst("\"added\" : 0.5", "\"added\" : 1.0"));
    v.broken("residual-scale-beside-a-shared-input", "A1", "halves side by side", "factors")
        .in(p -> TinyPackage.write(p, lightning(), false))
        .byManifest(text -> text.replaceFirst("\"residual\"", "\"shared_input\""));
    v.valid(
        "halves-of-layers-without-gates",
        "layers of one half, networks and experts without gates",
        p -> TinyPackage.write(p, HALVES, false));
    v.broken("layer-of-no-half", "A14", "a layer that lacks both halves", "none")
        .in(p -> TinyPackage.write(p, HALVES, false))
        .byManifest(
            text ->
                text.replaceFirst(
                    "(?s)\\{\\s*\"type\" : \"mamba2\"[^}]*}", "{ \"type\" : \"none\" }"));
    v.broken("prediction-of-no-half", "A14", "a layer of prediction that lacks both", "prediction")
        .in(p -> TinyPackage.write(p, HALVES, false))
        .byManifest(
            text ->
                text.replace(
                        "\"prediction\" : null",
                        """
                        "prediction" : {
                          "count" : 1,
                          "attention" : { "type" : "none" },
                          "feedForward" : { "type" : "none" }
                        }\
                        """)
                    .replace("\"prediction\" : \"none\"", "\"prediction\" : \"kept\""));
    v.broken("half-a-layer-of-a-shared-input", "A14", "halves read one norm", "normPlacement")
        .in(p -> TinyPackage.write(p, HALVES, false))
        .byManifest(
            text ->
                text.replace(
                    "\"tiedEmbeddings\"",
                    "\"normPlacement\" : \"shared_input\",\n    \"tiedEmbeddings\""));
    v.valid(
        "streams-entries-and-a-table-of-experts",
        "residual streams, entries that overlap, are chosen from, or neither, experts by token",
        p -> TinyPackage.write(p, STREAMS, false));
    v.broken("one-stream", "A1", "one residual stream", "streams.count")
        .in(p -> TinyPackage.write(p, STREAMS, false))
        .byManifest(text -> text.replace("\"count\" : 2,\n", "\"count\" : 1,\n"));
    v.broken("groups-of-no-heads", "A2", "groups does not divide heads", "groups")
        .in(p -> TinyPackage.write(p, STREAMS, false))
        .byManifest(text -> text.replaceFirst("\"groups\" : 2", "\"groups\" : 3"));
    v.broken("entries-narrower-than-what-is-turned", "A3", "keys of one dimension", "dimensions")
        .in(p -> TinyPackage.write(p, STREAMS, false))
        .byManifest(text -> text.replace("\"size\" : 3", "\"size\" : 1"));
    v.broken("clamped-without-a-clamp", "A8", "a clamp of shared experts alone", "clamped")
        .in(p -> TinyPackage.write(p, STREAMS, false))
        .byManifest(PartsVectors::withoutClamp);
    v.broken("table-missing", "I7", "no table of experts", "layers.0.router.table")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    STREAMS,
                    TinyPackage.Stored.COPIED,
                    items -> TensorVectors.without(items, "layers.0.router.table")));
    v.broken("table-of-weights", "T3", "a table of experts in BF16", "layers.0.router.table")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    STREAMS,
                    TinyPackage.Stored.COPIED,
                    items ->
                        changed(
                            items,
                            Role.ROUTER_TABLE,
                            item -> new ShardLayout.Item(item.spec(), Dtype.BF16))));
    v.valid(
        "a-network-beside-experts",
        "GELU, norms before and after, factors of experts and layers, heads of two sizes, keys as"
            + " values, some pairs turned, a cap of logits",
        p -> TinyPackage.write(p, BESIDE, false));
    v.broken("all-pairs-are-some", "A3", "three of three pairs are turned", "pairs")
        .in(p -> TinyPackage.write(p, BESIDE, false))
        .byManifest(text -> text.replace("\"pairs\" : 1", "\"pairs\" : 3"));
    v.broken("shared-and-beside", "A8", "shared experts next to a network beside them", "beside")
        .in(p -> TinyPackage.write(p, BESIDE, false))
        .byManifest(
            text -> text.replace("\"shared\" : null", "\"shared\" : {\"intermediateSize\" : 3}"));
    v.broken("gelu-with-a-clamp", "A8", "a clamp beside GELU", "activation")
        .in(p -> TinyPackage.write(p, STREAMS, false))
        .byManifest(text -> text.replace("\"silu\"", "\"gelu_tanh\""));
    v.broken("norm-biases-beside-experts", "A1", "norms of experts have biases", "normBiases")
        .in(p -> TinyPackage.write(p, Parts.with(BESIDE, "normPlacement", null), false))
        .byWords("\"tiedEmbeddings\" : true", "\"normBiases\" : true, \"tiedEmbeddings\" : true");
    v.broken("expert-factors-missing", "I7", "no factors of experts", "layers.1.router.factors")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    BESIDE,
                    TinyPackage.Stored.COPIED,
                    items -> TensorVectors.without(items, "layers.1.router.factors")));
    v.broken("values-beside-keys", "I8", "values of keys' own", "layers.1.attention.value.weight")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    BESIDE,
                    TinyPackage.Stored.COPIED,
                    items ->
                        TensorVectors.with(
                            items,
                            new TensorSpec(
                                "layers.1.attention.value.weight",
                                Role.ATTENTION_VALUE,
                                1,
                                Shape.of(12, 4),
                                null),
                            Dtype.BF16)));
    v.valid(
        "networks-without-gates",
        "ReLU, networks without gates, biases of dense ones, experts that drop tokens",
        p -> TinyPackage.write(p, UNGATED, false));
    v.broken("drops-beside-unlimited", "A8", "drops and an unlimited capacity", "capacity")
        .in(p -> TinyPackage.write(p, UNGATED, false))
        .byManifest(text -> text.replace("\"limited\"", "\"unlimited\""));
    v.broken("drops-of-all", "A8", "an expert takes a fraction of one", "fraction")
        .in(p -> TinyPackage.write(p, UNGATED, false))
        .byManifest(text -> text.replace("\"fraction\" : 0.5", "\"fraction\" : 1.0"));
    v.broken("drops-that-leave-no-sum", "A8", "nothing to divide weights by", "normalisation")
        .in(p -> TinyPackage.write(p, UNGATED, false))
        .byManifest(text -> text.replaceAll(",\\s*\"least\" : 1.0E-7", ""));
    v.broken("gate-of-a-network-without", "I8", "a gate that has none", "layers.0.dense.gate")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    UNGATED,
                    TinyPackage.Stored.COPIED,
                    items ->
                        TensorVectors.with(
                            items,
                            new TensorSpec(
                                "layers.0.dense.gate.weight",
                                Role.DENSE_GATE,
                                0,
                                Shape.of(3, 4),
                                null),
                            Dtype.BF16)));
    v.valid(
        "an-encoder-and-a-decoder",
        "an encoder, attention to it, biases by distance, sinusoids and a token without any",
        p -> TinyPackage.write(p, ENCODED, false));
    v.broken("decoder-that-sees-what-follows", "A13", "a decoder is bidirectional", "bidirectional")
        .in(p -> TinyPackage.write(p, UNGATED, false))
        .byManifest(
            text ->
                text.replaceFirst(
                    "\"window\" : null", "\"window\" : null, \"bidirectional\" : true"));
    v.broken("padding-without-an-encoder", "A13", "padding in a decoder alone", "padding")
        .in(p -> TinyPackage.write(p, UNGATED, false))
        .byWords(
            "\"tiedEmbeddings\" : true",
            "\"positions\" : {\"first\" : 0, \"padding\" : 1}, \"tiedEmbeddings\" : true");
    v.broken("distances-of-no-whole-halves", "A13", "six buckets", "buckets")
        .in(p -> TinyPackage.write(p, ENCODED, false))
        .byManifest(text -> text.replace("\"buckets\" : 4", "\"buckets\" : 6"));
    v.broken("a-start-that-is-no-token", "A1", "a start beyond the vocabulary", "encoder.start")
        .in(p -> TinyPackage.write(p, ENCODED, false))
        .byManifest(text -> text.replace("\"start\" : 3", "\"start\" : 5"));
    v.valid(
        "parts-of-papers",
        "biases by distance of each layer, prototypes, experts by a table and without a router,"
            + " gates of two levels, logits by angles, shared experts that are mixed with the"
            + " others",
        p -> TinyPackage.write(p, PAPERS, false));
    v.broken("prototypes-of-five-experts", "A5", "two sets of five experts", "prototypes")
        .in(p -> TinyPackage.write(p, PAPERS, false))
        .byManifest(text -> text.replaceFirst("\"experts\" : 4", "\"experts\" : 5"));
    v.broken("mixed-and-switched", "A8", "shared experts both ways", "mixed")
        .in(p -> TinyPackage.write(p, PAPERS, false))
        .byManifest(
            text -> text.replaceFirst("\"mixed\" : true", "\"switched\" : true, \"mixed\" : true"));
    v.broken("a-least-number-beside-a-number", "A8", "tokens and least", "least")
        .in(p -> TinyPackage.write(p, PAPERS, false))
        .byManifest(text -> text.replace("\"fraction\" : 0.25", "\"tokens\" : 2"));
    v.broken("angles-and-a-bias-of-logits", "A8", "cosine and a bias", "cosine")
        .in(p -> TinyPackage.write(p, PAPERS, false))
        .byManifest(
            // Of the last layer, where there are angles.
            text -> text.replaceFirst("(?s)(.*)\"bias\" : null", "$1\"bias\" : \"logits\""));
    v.broken("a-hierarchy-of-three-groups", "A5", "three groups of four experts", "hierarchy")
        .in(p -> TinyPackage.write(p, PAPERS, false))
        .byManifest(text -> text.replace("\"groups\" : 2", "\"groups\" : 3"));
    v.broken("a-hierarchy-and-a-bias", "A8", "gates of two levels and a bias", "hierarchy")
        .in(p -> TinyPackage.write(p, PAPERS, false))
        .byManifest(
            // Of the layer before the last.
            text ->
                text.replaceFirst(
                    "(?s)(.*)\"bias\" : null(.*\"bias\" : null)", "$1\"bias\" : \"logits\"$2"));
    v.broken("one-for-experts-that-none-assigns", "A8", "no router, and no table", "score")
        .in(p -> TinyPackage.write(p, PAPERS, false))
        .byManifest(text -> text.replaceFirst(",\\s*\"assigned\" : true", ""));
    v.valid(
        "an-image",
        "patches, a token of the class, a table of positions, a representation, and experts that"
            + " take the tokens of best scores first",
        p -> TinyPackage.write(p, SEEING, false));
    v.broken("image-in-one-direction", "A16", "tokens that see what came before", "blocks")
        .in(p -> TinyPackage.write(p, SEEING, false))
        .byManifest(text -> text.replaceFirst(",\\s*\"bidirectional\" : true", ""));
    v.broken("image-and-streams", "A16", "several residual streams", "image")
        .in(p -> TinyPackage.write(p, SEEING, false))
        .byWords(
            "\"image\" :",
            "\"streams\" : {\"count\" : 2, \"iterations\" : 1, \"epsilon\" : 0.1}, \"image\" :");
    v.broken("image-of-no-patch", "A16", "a class alone", "maxPositions")
        .in(p -> TinyPackage.write(p, SEEING, false))
        .byManifest(text -> text.replace("\"maxPositions\" : 5", "\"maxPositions\" : 1"));
    v.valid(
        "gates-and-towers-of-tasks",
        "gates of two tasks over the same experts, which nothing is added to, and towers",
        p -> TinyPackage.write(p, TASKS, false));
    v.broken("tasks-without-prototypes", "A17", "gates of tasks that are one", "byTask")
        .in(p -> TinyPackage.write(p, TASKS, false))
        .byManifest(text -> text.replaceFirst(",\\s*\"prototypes\" : 2", ""));
    v.broken("towers-that-share-an-answer", "A17", "two towers of seven outputs", "towers.tasks")
        .in(p -> TinyPackage.write(p, TASKS, false))
        .byManifest(text -> text.replace("\"vocabSize\" : 6", "\"vocabSize\" : 7"));
    v.broken("a-residual-scale-below-zero", "A1", "a stream that is taken away", "kept")
        .in(p -> TinyPackage.write(p, TASKS, false))
        .byManifest(text -> text.replace("\"kept\" : 0.0", "\"kept\" : -1.0"));
    v.valid(
        "halves-side-by-side",
        "halves that read one norm, gates with matrices of their own, values narrower than keys,"
            + " factors of routed and shared experts, a cap of scores and of the router's logits",
        p -> TinyPackage.write(p, SIDE_BY_SIDE, false));
    v.valid(
        "layers-that-attend-twice",
        "a network, attention and a network beside experts, the last of which have no weights,"
            + " a factor of latents",
        p -> TinyPackage.write(p, AGAIN, false));
    v.valid(
        "experts-of-heads",
        "queries and outputs of experts, a bias of the sum over experts, a last norm whose epsilon"
            + " is another",
        p -> TinyPackage.write(p, HEADS, false));
    v.broken("one-epsilon-twice", "A9", "the last norm's is the others'", "finalNormEpsilon")
        .in(p -> TinyPackage.write(p, HEADS, false))
        .byManifest(
            text ->
                text.replaceFirst(
                    "\"finalNormEpsilon\" : 1.0E-6", "\"finalNormEpsilon\" : 1.0E-5"));
    v.broken("more-heads-than-experts-have", "A15", "four heads of two experts", "headExperts")
        .in(p -> TinyPackage.write(p, HEADS, false))
        .byManifest(text -> text.replaceFirst("\"heads\" : 2", "\"heads\" : 4"));
    v.broken("router-of-heads-missing", "I7", "no router", "layers.1.attention.router.weight")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    HEADS,
                    TinyPackage.Stored.COPIED,
                    items -> TensorVectors.without(items, "layers.1.attention.router.weight")));
    v.broken("no-expert-with-weights", "A4", "as many identities as experts", "identities")
        .in(p -> TinyPackage.write(p, AGAIN, false))
        .byManifest(text -> text.replace("\"identities\" : 2", "\"identities\" : 4"));
    v.broken("latents-times-one", "A9", "latentFactor is 1", "latentFactor")
        .in(p -> TinyPackage.write(p, AGAIN, false))
        .byManifest(text -> text.replace("\"latentFactor\" : 2.0", "\"latentFactor\" : 1.0"));
    v.broken("a-shortcut-and-norms-elsewhere", "A15", "norms of what halves make", "shortcut")
        .in(p -> TinyPackage.write(p, AGAIN, false))
        .byManifest(
            text ->
                text.replaceFirst(
                    "\"tiedEmbeddings\"", "\"normPlacement\" : \"output\", \"tiedEmbeddings\""));
    v.broken("prototypes-beside-identities", "A15", "both of these", "identities")
        .in(p -> TinyPackage.write(p, AGAIN, false))
        .byManifest(
            text ->
                text.replaceFirst("(?s)(.*\"computeDtype\" : \"F32\")", "$1, \"prototypes\" : 2"));
    v.broken(
            "second-attention-missing", "I7", "no output", "layers.1.again.attention.output.weight")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    AGAIN,
                    TinyPackage.Stored.COPIED,
                    items ->
                        TensorVectors.without(items, "layers.1.again.attention.output.weight")));
    v.broken("two-gates", "A12", "both of two gates", "gate")
        .in(p -> TinyPackage.write(p, SIDE_BY_SIDE, false))
        .byManifest(text -> text.replaceFirst("\"gate\" :", "\"outputGate\" : true, \"gate\" :"));
    v.broken("values-as-wide-as-keys", "A9", "valueSize is headSize", "valueSize")
        .in(p -> TinyPackage.write(p, SIDE_BY_SIDE, false))
        .byManifest(text -> text.replace("\"valueSize\" : 3", "\"valueSize\" : 4"));
    v.broken("values-times-one", "A9", "valueFactor is 1", "valueFactor")
        .in(p -> TinyPackage.write(p, SIDE_BY_SIDE, false))
        .byManifest(text -> text.replace("\"valueFactor\" : 0.75", "\"valueFactor\" : 1.0"));
    v.broken("output-factors-of-one", "A9", "both outputFactors are 1", "outputFactors")
        .in(p -> TinyPackage.write(p, SIDE_BY_SIDE, false))
        .byManifest(
            text ->
                text.replace("\"routed\" : 0.5", "\"routed\" : 1.0")
                    .replace("\"shared\" : 0.25", "\"shared\" : 1.0"));
    v.broken("halves-and-a-network-side-by-side", "A12", "one norm for three", "normPlacement")
        .in(p -> TinyPackage.write(p, BESIDE, false))
        .byManifest(text -> text.replace("\"input_and_output\"", "\"shared_input\""));
    v.broken("gate-missing", "I7", "no gate of heads", "layers.1.attention.output_gate.weight")
        .made(
            p ->
                TensorVectors.edited(
                    p,
                    SIDE_BY_SIDE,
                    TinyPackage.Stored.COPIED,
                    items ->
                        TensorVectors.without(items, "layers.1.attention.output_gate.weight")));
    v.valid(
        "biases-over-ranks",
        "biases of experts of two ranks",
        p -> TinyPackage.write(p, ALL, new Manifest.Layout(2, null), false));
    v.valid(
        "positions-that-an-indexer-chooses",
        "an indexer beside latent attention",
        p -> TinyPackage.write(p, INDEXED, false));
    v.valid(
        "blocks-that-an-indexer-chooses",
        "an indexer of blocks beside grouped attention, a clamp of a dense network",
        p -> TinyPackage.write(p, BLOCKS, false));
    v.broken("more-local-blocks-than-are-kept", "A11", "local is 4 of 3 blocks", "local")
        .in(p -> TinyPackage.write(p, BLOCKS, false))
        .byManifest(text -> text.replace("\"local\" : 1", "\"local\" : 4"));
    v.broken("block-indexer-beside-a-window", "A11", "both of these", "blockIndexer")
        .in(p -> TinyPackage.write(p, BLOCKS, false))
        .byManifest(text -> text.replaceFirst("(?s)(.*)\"window\" : null", "$1\"window\" : 4"));
    v.broken("indexer-narrower-than-what-is-turned", "A3", "an indexer of one dimension", "size")
        .in(p -> TinyPackage.write(p, INDEXED, false))
        .byManifest(text -> text.replace("\"size\" : 3", "\"size\" : 1"));
    v.broken("indexer-without-a-latent", "A11", "an indexer beside no queryRank", "queryRank")
        .in(p -> TinyPackage.write(p, INDEXED, false))
        .byManifest(text -> text.replace("\"queryRank\" : 3", "\"queryRank\" : null"));
    v.broken("false-where-nothing-is", "A9", "biases are false", "biases")
        .byManifest(PartsVectors::withoutBiases);
    v.broken("multipliers-of-one", "A9", "three multipliers are 1", "multipliers")
        .in(PartsVectors::write)
        .byWords("\"residual\" : 0.5", "\"residual\" : 1.0");
    v.broken("scaling-of-no-known-type", "M5", "a scaling of type ntk", "ntk")
        .in(PartsVectors::write)
        .byWords("\"type\" : \"linear\"", "\"type\" : \"ntk\"");
    v.broken("frequencies-crossed", "A3", "highFrequency is below lowFrequency", "highFrequency")
        .in(PartsVectors::write)
        .byWords("\"highFrequency\" : 1.0", "\"highFrequency\" : 0.5");
    v.broken("bias-missing", "I7", "values have no bias", "layers.0.attention.value.bias")
        .made(
            p -> edited(p, items -> TensorVectors.without(items, "layers.0.attention.value.bias")));
    v.broken(
            "bias-stack-of-another-shape",
            "I7",
            "experts have biases for one of two rows of gate and of up",
            "layers.0.experts.gate_up.bias")
        .made(p -> edited(p, PartsVectors::shortened));
    v.broken(
            "norm-weights-that-nothing-calls-for",
            "I8",
            "there are weights of a norm that has none",
            "layers.2.attention.key_norm.weight")
        .made(
            p ->
                edited(
                    p,
                    items ->
                        TensorVectors.with(
                            items,
                            new TensorSpec(
                                "layers.2.attention.key_norm.weight",
                                Role.ATTENTION_KEY_NORM,
                                2,
                                Shape.of(4),
                                null),
                            Dtype.BF16)));
    v.broken("bias-stack-in-blocks", "E2", "a stack of biases is in fp8 blocks", "a matrix that")
        .made(p -> edited(p, PartsVectors::inBlocks));
  }

  static void write(Path folder) {
    TinyPackage.write(folder, ALL, false);
  }

  private static String withoutClamp(String manifest) {
    return manifest.replaceFirst("\"clamp\" : \\{[^}]*\\},\\s*", "");
  }

  static String withoutBiases(String manifest) {
    return Tampering.replaced(
        manifest, "\"headSize\" : 2,", "\"headSize\" : 2, \"biases\" : false,");
  }

  private static void edited(Path folder, UnaryOperator<List<ShardLayout.Item>> edit) {
    TensorVectors.edited(folder, ALL, TinyPackage.Stored.COPIED, edit);
  }

  private static List<ShardLayout.Item> changed(
      List<ShardLayout.Item> items, Role role, UnaryOperator<ShardLayout.Item> change) {
    return items.stream()
        .map(item -> item.spec().role() == role ? change.apply(item) : item)
        .toList();
  }

  private static List<ShardLayout.Item> shortened(List<ShardLayout.Item> items) {
    return changed(
        items,
        Role.EXPERT_GATE_UP_BIAS,
        item -> {
          TensorSpec.Stack whole = Objects.requireNonNull(item.spec().stack());
          var stack = new TensorSpec.Stack(0, whole.experts(), whole.projections(), Shape.of(1));
          return new ShardLayout.Item(
              new TensorSpec(item.spec().name(), item.spec().role(), 0, stack.shape(), stack),
              item.dtype());
        });
  }

  private static List<ShardLayout.Item> inBlocks(List<ShardLayout.Item> items) {
    return changed(
        items,
        Role.EXPERT_DOWN_BIAS,
        item -> new ShardLayout.Item(item.spec(), Dtype.F8_E4M3, TinyPackage.BLOCKS));
  }
}
