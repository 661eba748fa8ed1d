package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.blocks;
import static dev.moxie.verifier.WrongPlans.experts;
import static dev.moxie.verifier.WrongPlans.grouped;
import static dev.moxie.verifier.WrongPlans.leaves;
import static dev.moxie.verifier.WrongPlans.rebuilt;
import static dev.moxie.verifier.WrongPlans.routing;
import static dev.moxie.verifier.WrongPlans.swap;
import static dev.moxie.verifier.WrongPlans.without;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Planner;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Attention.GroupedQuery;
import dev.moxie.format.model.Attention.Lightning;
import dev.moxie.format.model.Attention.Mamba;
import dev.moxie.format.model.Attention.Mamba2;
import dev.moxie.format.model.Attention.MultiHeadLatent;
import dev.moxie.format.model.Attention.ShortConvolution;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.FeedForward.MixtureOfExperts;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Routing.Groups;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.IntUnaryOperator;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Plants in a checkpoint of each family the defects that its parts make possible: its reference
 * alone finds every one and names most. All of them are planted where the table in README.md is
 * written ({@code -Dmoxie.regenerate=true}); otherwise every family has some, and every defect is
 * in some families, since most are of parts that families share.
 */
class FamilyMutationsTest {
  /** Defects of a family that must be found. */
  private static final int LEAST_FOUND = 12;

  /** Those of a hundred that must be named. */
  private static final int LEAST_NAMED = 90;

  private static final List<String> FAMILIES =
      List.of(
          "qwen3_moe",
          "qwen2_moe",
          "olmoe",
          "flex_olmo",
          "gpt_oss",
          "glm4_moe",
          "glm4_moe_lite",
          "longcat_flash",
          "jetmoe",
          "mistral4",
          "deepseek_v32",
          "deepseek_v4",
          "dots1",
          "solar_open",
          "exaone_moe",
          "mellum",
          "minimax",
          "minimax_m2",
          "minimax_m3_vl_text",
          "hunyuan_v1_moe",
          "hy_v3",
          "granitemoe",
          "granitemoeshared",
          "granitemoehybrid",
          "nemotron_h",
          "jamba",
          "dbrx",
          "phimoe",
          "llama4_text",
          "ernie4_5_moe",
          "lfm2_moe",
          "qwen3_next",
          "kimi_linear",
          "qwen3_5_moe",
          "gemma4",
          "afmoe",
          "cohere2_moe",
          "laguna",
          "mimo_v2_flash",
          "grok-1",
          "mixtral_original");

  /** Checkpoints in another encoding, whose weights alone are damaged. */
  private static final List<String> ENCODINGS =
      List.of("glm4_moe_fp8ct", "gpt_oss_mxfp4", "kimi_k2_int4", "minimax_m2_fp8", "qwen3_moe_fp8");

  @TempDir Path folder;

  /** Makes a wrong package of a checkpoint. */
  @FunctionalInterface
  private interface Plant {
    void grow(Path checkpoint, Path work, Path pack) throws IOException;
  }

  /**
   * A defect.
   *
   * @param words a part of what the diagnosis must say it looks like
   */
  private record Defect(Path checkpoint, String name, String words, Plant plant) {}

  /** What became of a defect. */
  private record Outcome(
      String checkpoint, String name, boolean found, boolean named, String said) {
    /** As a table has it where it is not named. */
    String words() {
      return name + " (" + said + ")";
    }
  }

  private final List<Defect> defects = new ArrayList<>();
  private Path checkpoint;
  private ConversionPlan plan;
  private Architecture model;

  @Test
  void everyDefectIsFoundByTheReferenceAloneAndMostAreNamed() throws IOException {
    Map<String, Integer> counts = new TreeMap<>();
    List<Defect> planted = new ArrayList<>();
    for (String name : FAMILIES) {
      defects.clear();
      plantAll(name);
      counts.put(name, defects.size());
      planted.addAll(WrittenTable.drawn(name, defects));
    }
    for (String name : ENCODINGS) {
      defects.clear();
      begin(name);
      plantStacks();
      counts.put(name, defects.size());
      planted.addAll(WrittenTable.drawn(name, defects));
    }
    List<Outcome> outcomes =
        IntStream.range(0, planted.size())
            .parallel()
            .mapToObj(i -> outcome(i, planted.get(i)))
            .toList();
    assertEquals(List.of(), outcomes.stream().filter(o -> !o.found()).toList());
    WrittenTable table = WrittenTable.of("table of families");
    if (WrittenTable.isWritten()) {
      table = table.written(table(outcomes));
    }
    for (var count : counts.entrySet()) {
      String row = table.row(count.getKey()).get(1);
      assertEquals(String.valueOf(count.getValue()), row, count.getKey());
    }
    for (Outcome outcome : outcomes) {
      boolean known = table.row(outcome.checkpoint()).get(4).contains(outcome.words());
      assertEquals(known, !outcome.named(), outcome::toString);
    }
  }

  /** One row for each checkpoint, with what is not named, of which there must not be much. */
  private static String table(List<Outcome> outcomes) {
    var table =
        new StringBuilder(
            "| checkpoint | defects | found | named | not named |\n|---|---|---|---|---|\n");
    for (String name : Stream.concat(FAMILIES.stream(), ENCODINGS.stream()).toList()) {
      List<Outcome> own = outcomes.stream().filter(o -> o.checkpoint().equals(name)).toList();
      List<String> unnamed = own.stream().filter(o -> !o.named()).map(Outcome::words).toList();
      int named = own.size() - unnamed.size();
      table.append(
          "| %s | %d | %d | %d | %s |\n"
              .formatted(name, own.size(), own.size(), named, String.join("; ", unnamed)));
      if (FAMILIES.contains(name)) {
        assertTrue(own.size() >= LEAST_FOUND, own.size() + " defects of " + name);
        assertTrue(100 * named >= LEAST_NAMED * own.size(), unnamed.toString());
      }
    }
    return table.toString();
  }

  private void plantAll(String name) {
    begin(name);
    plantWeights();
    plantStacks();
    plantAttention();
    plantStates();
    plantConvolutions();
    plantMamba();
    plantMamba2();
    plantLightning();
    plantExperts();
    plantResidual();
    plantModel();
  }

  /** What is planted from here on is planted in one checkpoint. */
  private void begin(String fixture) {
    checkpoint = Fixtures.root().resolve("random").resolve(fixture);
    plan =
        Planner.plan(
            Checkpoint.open(checkpoint),
            new Conversion(Set.of(), Conversion.Prediction.KEEP, null));
    model = plan.architecture();
  }

  private void plan(String name, String words, UnaryOperator<ConversionPlan> tamper) {
    plant(name, words, (source, work, pack) -> Packages.convert(source, pack, tamper));
  }

  private void bytes(String name, String words, DamagedCheckpoint.Damage damage) {
    plant(
        name,
        words,
        (source, work, pack) ->
            Packages.convert(DamagedCheckpoint.copy(source, work, damage), pack));
  }

  private void plant(String name, String words, Plant plant) {
    defects.add(new Defect(checkpoint, name, words, plant));
  }

  private void plantWeights() {
    plan(
        "two experts of a layer swapped",
        "experts 2 and 3 swapped",
        leaves(n -> n.startsWith("layers.1.") ? swap(n, ".experts.2.", ".experts.3.") : n));
    plan(
        "an expert of another layer",
        "expert 1 taken from layer 2",
        leaves(n -> n.contains(".experts.1.") ? swap(n, "layers.1.", "layers.2.") : n));
    if (isGated()) {
      plan(
          "gate and up of a layer's experts swapped",
          "gate and up swapped in",
          leaves(n -> n.contains("layers.1.experts.") ? swap(n, ".gate.", ".up.") : n));
    }
    String norm = model.hasOutputNorms() ? "_output_norm." : "_norm.";
    boolean none = model.layers().get(1).attention() instanceof Attention.None;
    if (!none && !model.hasParallelHalves()) {
      plan(
          "norms of a layer swapped",
          "norm swapped",
          leaves(
              n ->
                  n.startsWith("layers.1.")
                      ? swap(n, ".attention" + norm, ".feed_forward" + norm)
                      : n));
    }
    plan(
        "the router of another layer",
        "layer 1 with the router of layer 2",
        leaves(
            n ->
                n.contains(".router.") && !n.contains(".attention.")
                    ? swap(n, "layers.1.", "layers.2.")
                    : n));
    int attending =
        IntStream.range(1, model.layers().size())
            .filter(i -> model.layers().get(i).attention() instanceof Attention.Softmax)
            .findFirst()
            .orElseThrow();
    boolean grouped = model.layers().get(attending).attention() instanceof GroupedQuery;
    if (grouped && attentions(GroupedQuery.class).allMatch(a -> a.valueSize() == null)) {
      plan(
          "key and value swapped",
          "key and value swapped",
          leaves(n -> swap(n, ".attention.key.", ".attention.value.")));
    }
    boolean compressed = model.layers().get(1).attention() instanceof Attention.Compressed;
    String other = compressed ? "key_value" : "latent_up";
    String values = "layers.1.attention." + (grouped ? "value" : other) + ".weight";
    boolean own =
        attentions(GroupedQuery.class).noneMatch(GroupedQuery::keysAsValues)
            && attending == 1
            && model.layers().get(2).attention() instanceof Attention.Softmax;
    if (own) {
      plan(
          "values of another layer",
          values + " taken from layer 2",
          leaves(
              n ->
                  n.endsWith(values.substring(9))
                          || n.endsWith(BlockScaled.scaleName(values).substring(9))
                      ? swap(n, "layers.1.", "layers.2.")
                      : n));
    }
    if (model.layers().get(1).attention() instanceof GroupedQuery a
        && a.biases()
        && a.valueSize() == null) {
      plan(
          "biases of key and value swapped",
          "bias of key and value swapped",
          leaves(n -> n.endsWith(".bias") ? swap(n, ".attention.key.", ".attention.value.") : n));
    }
    if (model.hasOutputNorms()) {
      doubled("attention output norm", "layers.1.attention_output_norm.weight");
      doubled("feed-forward output norm", "layers.1.feed_forward_output_norm.weight");
    } else {
      doubled("attention output", "layers." + attending + ".attention.output.weight");
    }
  }

  /** Whether experts have gates. */
  private boolean isGated() {
    return model.layers().stream()
        .noneMatch(layer -> layer.feedForward() instanceof MixtureOfExperts m && m.ungated());
  }

  private void doubled(String what, String canonical) {
    Set<String> tensors = sources(canonical::equals);
    bytes(
        what + " twice as large",
        "off by a factor of 2",
        DamagedCheckpoint.values(tensors::contains, (i, v) -> 2 * v[i]));
  }

  /** The checkpoint's tensors that canonical ones come from. */
  private Set<String> sources(Predicate<String> canonical) {
    return plan.shards().stream()
        .flatMap(shard -> shard.moves().stream())
        .filter(move -> canonical.test(move.leaf().source()))
        .map(move -> move.piece().source().name())
        .collect(Collectors.toSet());
  }

  private void plantStacks() {
    Set<String> scales = sources(n -> n.contains(".experts.") && n.endsWith(".scale"));
    String expert = "layers.1.experts.0.";
    if (sources(n -> n.equals(expert + "gate.weight"))
        .equals(sources(n -> n.equals(expert + "up.weight")))) {
      plan("rows of gate and up dealt out wrongly", "of gate and up read as", WrongPlans::dealt);
    }
    if (scales.stream().anyMatch(n -> n.endsWith("_scales"))) {
      bytes(
          "the numbers of each byte swapped",
          "the two numbers of each byte swapped",
          (info, data) -> {
            for (int i = 0; i < data.limit() && info.name().endsWith("_blocks"); i++) {
              int both = data.get(i) & 0xff;
              data.put(i, (byte) (both >> 4 | both << 4));
            }
          });
      bytes(
          "exponents of scales off by one",
          "scales of all experts off by a factor of 2",
          (info, data) -> {
            for (int i = 0; i < data.limit() && scales.contains(info.name()); i++) {
              data.put(i, (byte) (data.get(i) + 1));
            }
          });
    }
    if (!scales.isEmpty()) {
      bytes(
          "scales of the next block",
          "the block scales of all its",
          (info, data) -> {
            if (scales.contains(info.name())) {
              byte[] old = new byte[data.limit()];
              data.get(0, old);
              int one = Math.toIntExact(info.bytes() / info.shape().elements());
              long columns = info.shape().dim(info.shape().rank() - 1);
              // Where a row has one scale, that of the next row.
              int row = columns == 1 ? old.length : Math.toIntExact(one * columns);
              for (int i = 0; i < old.length; i++) {
                data.put(i, old[i / row * row + (i + one) % row]);
              }
            }
          });
    }
  }

  private void plantBlocks(Attention.BlockIndexer own) {
    ofBlocks("positions of a block", "block", own.block() + 1);
    ofBlocks("blocks that a head sees", "kept", own.kept() + 1);
    ofBlocks("last blocks that a head always sees", "local", own.local() - 1);
    plan(
        "no indexer",
        "an indexer that the reference",
        p -> without(grouped(x -> Parts.with(x, "blockIndexer", null)).apply(p)));
    for (String part : List.of("index_key", "index_query")) {
      String tensor = "attention." + part + ".weight";
      plan(
          part.replace('_', ' ') + " of another layer",
          "layers.1." + tensor + " taken from layer 2",
          leaves(n -> n.endsWith(tensor) ? swap(n, "layers.1.", "layers.2.") : n));
    }
  }

  private void ofBlocks(String words, String member, int value) {
    attention(
        words + " " + value,
        words,
        x ->
            x.blockIndexer() == null
                ? x
                : Parts.with(x, "blockIndexer", Parts.with(x.blockIndexer(), member, value)));
  }

  private void plantIndexer(Attention.Indexer own) {
    indexer(
        "an indexer turned in other pairs",
        "of the indexer",
        "pairing",
        own.pairing() == Rotary.Pairing.HALVES
            ? Rotary.Pairing.INTERLEAVED
            : Rotary.Pairing.HALVES);
    for (int kept : new int[] {own.kept() - 1, own.kept() + 1, 64}) {
      indexer(kept + " positions seen", "positions that a token sees " + kept, "kept", kept);
    }
    plan(
        "index keys of another layer",
        "layers.1.attention.index_key.weight taken from layer 2",
        leaves(n -> n.endsWith("index_key.weight") ? swap(n, "layers.1.", "layers.2.") : n));
    plan(
        "index queries of another layer",
        "layers.1.attention.index_query.weight taken from layer 2",
        leaves(n -> n.endsWith("index_query.weight") ? swap(n, "layers.1.", "layers.2.") : n));
    plan(
        "index weights of another layer",
        "layers.1.attention.index_weights.weight taken from layer 2",
        leaves(n -> n.endsWith("index_weights.weight") ? swap(n, "layers.1.", "layers.2.") : n));
  }

  private void indexer(String name, String words, String member, Object value) {
    plan(
        name, words, latent(x -> Parts.with(x, "indexer", Parts.with(x.indexer(), member, value))));
  }

  private static UnaryOperator<ConversionPlan> latent(UnaryOperator<MultiHeadLatent> change) {
    return WrongPlans.blocks(
        b -> b.attention() instanceof MultiHeadLatent a ? b.withAttention(change.apply(a)) : b);
  }

  private void plantAttention() {
    plan("attention scale doubled", "attention scale", softmax(a -> a.withScale(2 * a.scale())));
    if (attentions(Attention.Softmax.class).anyMatch(a -> a.rotary() != null)) {
      plantAngles();
    }
    switch (attentions(Attention.Softmax.class).findFirst().orElseThrow()) {
      case GroupedQuery a -> plantGrouped(a);
      case MultiHeadLatent a -> plantLatent(a);
      case Attention.Compressed a -> plantCompressed();
    }
  }

  private void plantAngles() {
    plan("rotary base off by 1 %", "rotary base", turned(r -> WrongPlans.theta(r, 1.01)));
    plan(
        "another rotary pairing",
        "rotary",
        turned(
            r ->
                r.withPairing(
                    r.pairing() == Rotary.Pairing.HALVES
                        ? Rotary.Pairing.INTERLEAVED
                        : Rotary.Pairing.HALVES)));
  }

  /** Of attention to entries, experts by token and residual streams. */
  private void plantCompressed() {
    plan(
        "window one narrower",
        "tokens of a window",
        WrongPlans.blocks(b -> b.withAttention(narrower((Attention.Compressed) b.attention()))));
    plan("no entries", "entries that", p -> without(entries(x -> null).apply(p)));
    int kept = indexer().kept();
    for (int other : new int[] {kept - 1, 64}) {
      plan(
          other + " entries seen",
          "entries that a token sees " + other,
          entries(c -> seen(c, "kept", other)));
    }
    plan(
        "an indexer turned in other pairs",
        "of the indexer",
        entries(c -> seen(c, "pairing", Rotary.Pairing.HALVES)));
    for (String part : List.of("entry", "entry_gate", "index_key", "index_query")) {
      String tensor = "attention." + part + ".weight";
      plan(
          part.replace('_', ' ') + " of another layer",
          "layers.1." + tensor + " taken from layer 2",
          leaves(n -> n.endsWith(tensor) ? swap(n, "layers.1.", "layers.2.") : n));
    }
    for (String half : List.of("attention", "feed_forward")) {
      String tensor = half + "_streams.weight";
      plan(
          half.replace('_', ' ') + " streams of another layer",
          "layer 1 with the " + half + "_streams of layer 2",
          leaves(n -> n.endsWith(tensor) ? swap(n, "layers.1.", "layers.2.") : n));
    }
    plan(
        "streams mixed without normalisation",
        "normalisations of mixed streams 1",
        rebuilt(x -> with(x, "streams", with(x.streams(), "iterations", 1))));
    plan(
        "shared experts without their clamp",
        "clamp inside shared experts",
        experts(FamilyMutationsTest::unclampedShared));
  }

  private static <R extends Record> R with(R part, String member, Object value) {
    return Parts.with(part, member, value);
  }

  private Attention.Indexer indexer() {
    return attentions(Attention.Compressed.class)
        .map(Attention.Compressed::compression)
        .filter(c -> c != null && c.indexer() != null)
        .findFirst()
        .orElseThrow()
        .indexer();
  }

  private static Attention narrower(Attention.Compressed a) {
    return with(a, "window", a.window() - 1);
  }

  private static Attention.Compression seen(Attention.Compression c, String member, Object value) {
    return c.indexer() == null ? c : with(c, "indexer", with(c.indexer(), member, value));
  }

  private static UnaryOperator<ConversionPlan> entries(
      UnaryOperator<Attention.Compression> change) {
    return WrongPlans.blocks(
        b ->
            b.attention() instanceof Attention.Compressed x && x.compression() != null
                ? b.withAttention(with(x, "compression", change.apply(x.compression())))
                : b);
  }

  private void plantLatent(MultiHeadLatent a) {
    Rotary rotary = a.rotary();
    if (rotary == null) {
      Rotary some = new Rotary(10_000, a.shared(), Rotary.Pairing.HALVES, null);
      plan(
          "rotary where there is none",
          "a rotary embedding that the reference does not have",
          latent(x -> x.withRotary(some)));
    } else if (a.indexer() == null) {
      plan("rotary dropped", "a dropped rotary embedding", latent(x -> x.withRotary(null)));
    }
    if (rotary != null && rotary.scaling() instanceof Rotary.Yarn) {
      plan(
          "YaRN softmax factor dropped",
          "YaRN softmax factor",
          turned(r -> r.withScaling(Parts.with((Rotary.Yarn) r.scaling(), "softmaxFactor", 1.0))));
    }
    Attention.Temperature own = a.temperature();
    if (own != null) {
      tempered("dropped", "a dropped temperature", null);
      tempered(
          "counted from one", "another temperature", Parts.with(own, "fromZero", !own.fromZero()));
      tempered("off by 1 %", "temperature", Parts.with(own, "scale", 1.01 * own.scale()));
    }
    plan(
        "latents of another layer",
        "layers.1.attention.latent_down.weight taken from layer 2",
        leaves(n -> n.endsWith("latent_down.weight") ? swap(n, "layers.1.", "layers.2.") : n));
    if (a.indexer() != null) {
      plantIndexer(a.indexer());
    }
  }

  private void tempered(String name, String words, Attention.Temperature other) {
    plan(
        "temperature " + name,
        words,
        blocks(
            b ->
                b.withAttention(
                    Parts.with((MultiHeadLatent) b.attention(), "temperature", other))));
  }

  private void plantGrouped(GroupedQuery a) {
    if (a.rotary() != null) {
      plantRotary(a, a.rotary());
    }
    if (attentions(GroupedQuery.class).anyMatch(x -> x.rotary() == null)) {
      Rotary some = new Rotary(10_000, a.headSize(), Rotary.Pairing.HALVES, null);
      attention(
          "rotary where there is none",
          "a rotary embedding that the reference does not have",
          x -> x.withRotary(a.rotary() == null ? some : a.rotary()));
    }
    attentions(GroupedQuery.class)
        .map(GroupedQuery::blockIndexer)
        .filter(Objects::nonNull)
        .findFirst()
        .ifPresent(this::plantBlocks);
    Optional<Integer> window =
        attentions(GroupedQuery.class)
            .map(GroupedQuery::window)
            .filter(Objects::nonNull)
            .findFirst();
    if (window.isPresent()) {
      attention(
          "window off by one",
          "a sliding window",
          x -> widened(x, x.window() == null ? null : x.window() - 1));
      attention("window dropped", "a dropped sliding window", x -> widened(x, null));
      attention("window in every layer", "a sliding window", x -> widened(x, window.get()));
    }
    if (a.chunk() != null) {
      attention(
          "chunk of 5", "a chunk of attention", x -> x.chunk() == null ? x : with(x, "chunk", 5));
    }
    if (attentions(GroupedQuery.class).anyMatch(x -> x.temperature() != null)) {
      attention(
          "temperature from the first positions on",
          "a temperature that the reference does not have",
          x ->
              x.temperature() == null
                  ? x
                  : with(x, "temperature", new Attention.Temperature(0.1, 4)));
    }
    if (a.clip() != null) {
      attention("a clip that bites", "a clip of queries", x -> with(x, "clip", 0.5));
    }
    if (a.scoreCap() != null) {
      attention("cap of scores dropped", "a dropped cap of scores", x -> with(x, "scoreCap", null));
      attention(
          "cap of scores off by 10 %",
          "cap of scores", x -> with(x, "scoreCap", 1.1 * x.scoreCap()));
    }
    if (a.valueNorm() != null) {
      attention(
          "norm of values dropped", "a dropped norm of values", x -> with(x, "valueNorm", null));
    }
    attentions(GroupedQuery.class)
        .map(GroupedQuery::rotary)
        .filter(r -> r != null && r.scaling() instanceof Rotary.Proportional)
        .findFirst()
        .ifPresent(this::plantProportional);
    if (a.valueFactor() != null) {
      attention("factor of values dropped", "factor of values", x -> with(x, "valueFactor", null));
    }
    if (a.gate() != null) {
      Attention.Opening other =
          a.gate().opening() == Attention.Opening.SIGMOID
              ? Attention.Opening.SOFTPLUS
              : Attention.Opening.SIGMOID;
      attention(
          "a gate that another function opens",
          "a gate that",
          x -> with(x, "gate", Parts.with(x.gate(), "opening", other)));
      String gate = "layers.1.attention.output_gate.weight";
      plan(
          "the gate of another layer",
          gate + " taken from layer 2",
          leaves(n -> n.endsWith(gate.substring(9)) ? swap(n, "layers.1.", "layers.2.") : n));
    }
    if (a.headExperts() != null) {
      for (String part : List.of("query", "output", "router")) {
        String tensor = "layers.1.attention." + part + ".weight";
        plan(
            part + " of another layer's head experts",
            tensor + " taken from layer 2",
            leaves(
                n ->
                    n.endsWith(tensor.substring("layers.1.".length()))
                        ? swap(n, "layers.1.", "layers.2.")
                        : n));
      }
    }
    boolean sinks = attentions(GroupedQuery.class).anyMatch(GroupedQuery::sinks);
    lacking("sinks", sinks, "sinks", false, "a dropped sink");
    lacking(
        "biases of queries, keys and values",
        a.biases(),
        "biases",
        false,
        "a dropped bias of queries");
    lacking(
        "bias of attention output",
        a.outputBias(),
        "outputBias",
        false,
        "a dropped bias of attention output");
    Attention.QueryKeyNorm norm = a.queryKeyNorm();
    if (norm != null) {
      lacking("query/key norm", true, "queryKeyNorm", null, "a dropped query/key norm");
    }
    // Without weights it is the same on either side.
    if (norm != null && norm.weighted()) {
      attention(
          "query/key norm on the other side of rotation",
          "query/key norm",
          x ->
              x.queryKeyNorm() == null
                  ? x
                  : with(
                      x,
                      "queryKeyNorm",
                      Parts.with(x.queryKeyNorm(), "afterRotation", !norm.afterRotation())));
    }
  }

  private void plantRotary(GroupedQuery a, Rotary own) {
    attention("rotary dropped", "a dropped rotary embedding", x -> with(x, "rotary", null));
    if (own.dimensions() < a.headSize()) {
      plan(
          "partial rotary as whole",
          "rotary dimensions instead of",
          turned(r -> Parts.with(r, "dimensions", a.headSize())));
    }
    if (own.scaling() != null) {
      plan("rotary scaling dropped", "dropped rotary scaling", turned(r -> r.withScaling(null)));
    }
    if (own.scaling() instanceof Rotary.Yarn yarn && yarn.exactBounds()) {
      plan(
          "bounds of rotary scaling rounded",
          "YaRN between bounds that are whole pairs",
          turned(r -> r.withScaling(Parts.with(yarn, "exactBounds", false))));
    }
  }

  private void plantProportional(Rotary own) {
    int pairs = ((Rotary.Proportional) own.scaling()).pairs();
    UnaryOperator<Rotary> all = r -> r.scaling() == null ? r : r.withScaling(null);
    plan("all pairs turned", "pairs of dimensions turned instead of " + pairs, turned(all));
    plan(
        "the turned pairs by themselves",
        "pairs of dimensions turned instead of " + pairs,
        turned(r -> r.scaling() == null ? r : Parts.with(all.apply(r), "dimensions", 2 * pairs)));
  }

  private <A extends Attention> Stream<A> attentions(Class<A> kind) {
    return model.layers().stream()
        .map(Architecture.Blocks::attention)
        .filter(kind::isInstance)
        .map(kind::cast);
  }

  private void plantStates() {
    List<Attention.GatedDelta> states = attentions(Attention.GatedDelta.class).toList();
    attentions(GroupedQuery.class)
        .filter(GroupedQuery::outputGate)
        .findFirst()
        .ifPresent(
            a ->
                rows(
                    "query and gate of each head swapped",
                    "query and gate rows swapped",
                    "attention.query.",
                    r -> r / a.headSize() % 2 == 0 ? r + a.headSize() : r - a.headSize()));
    if (states.isEmpty()) {
      return;
    }
    Attention.GatedDelta a = states.getFirst();
    int size = a.keySize();
    int served = Math.toIntExact(a.values() / a.keyHeads());
    int group = 2 * (size + served);
    int each = a.valueHeads() / a.keyHeads();
    if (a.projections() == Attention.Projections.APART) {
      plan(
          "queries and keys of states swapped",
          "query and key swapped",
          leaves(n -> swap(n, ".delta.query.", ".delta.key.")));
      plan(
          "convolutions of queries and values swapped",
          "query_convolution and value_convolution swapped",
          leaves(n -> swap(n, ".delta.query_convolution.", ".delta.value_convolution.")));
      plan(
          "latents of gates and decays swapped",
          "decay_down and gate_down swapped",
          leaves(n -> swap(n, ".delta.gate_down.", ".delta.decay_down.")));
      plan(
          "what is made of the latents of gates and decays swapped",
          "decay_up and gate_up swapped",
          leaves(n -> swap(n, ".delta.gate_up.", ".delta.decay_up.")));
      plan(
          "what states write of another layer",
          "layers.0.delta.write.weight taken from layer 3",
          leaves(n -> n.endsWith(".delta.write.weight") ? swap(n, "layers.0.", "layers.3.") : n));
    } else if (a.projections() == Attention.Projections.BY_KEY_HEAD) {
      rows(
          "queries and keys of states swapped",
          "query and key rows swapped",
          "delta.mixed.",
          r -> r % group / size == 0 ? r + size : r % group / size == 1 ? r - size : r);
      rows(
          "projections of states by kind",
          "rows that stand kind by kind read as head by head",
          "delta.mixed.",
          r -> byKind(a.keyHeads(), size, size, served, served)[r]);
      rows(
          "what is written and what decays swapped",
          "write and decay rows swapped",
          "delta.write_decay.",
          r -> r / each % 2 == 0 ? r + each : r - each);
    } else {
      int keys = Math.toIntExact(a.keys());
      rows(
          "queries and keys of states swapped",
          "query and key rows swapped",
          "delta.mixed.",
          r -> r < keys ? r + keys : r < 2 * keys ? r - keys : r);
      plan(
          "what is written and what decays swapped",
          "write and decay swapped",
          leaves(n -> swap(n, ".delta.write.", ".delta.decay.")));
    }
    if (a.decayRank() == null) {
      plan(
          "shift and rate of decays swapped",
          "decay_shift and decay_rate swapped",
          leaves(n -> swap(n, ".delta.decay_shift.", ".delta.decay_rate.")));
    }
    plantReversed("convolution.weight", a.convolution());
    delta(
        "another opening of gates",
        "a gate that " + (a.sigmoidGates() ? "silu opens" : "sigmoid opens"),
        d -> Parts.with(d, "sigmoidGates", !d.sigmoidGates()));
    delta(
        "epsilon of a state's norm",
        "epsilon",
        d -> Parts.with(d, "normEpsilon", 1e4 * d.normEpsilon()));
  }

  private void delta(String name, String words, UnaryOperator<Attention.GatedDelta> change) {
    plan(
        name,
        words,
        WrongPlans.blocks(
            b ->
                b.attention() instanceof Attention.GatedDelta d
                    ? b.withAttention(change.apply(d))
                    : b));
  }

  private void plantReversed(String tensor, int span) {
    Set<String> taps = sources(n -> n.endsWith(tensor));
    bytes(
        "a convolution in reverse",
        "factors of a convolution in reverse",
        DamagedCheckpoint.values(
            taps::contains, (i, v) -> v[i / span * span + span - 1 - i % span]));
  }

  private void plantConvolutions() {
    List<ShortConvolution> convolutions = attentions(ShortConvolution.class).toList();
    if (convolutions.isEmpty()) {
      return;
    }
    ShortConvolution a = convolutions.getFirst();
    int width = a.width();
    plantReversed("convolution.taps.weight", a.convolution());
    rows(
        "gates of a convolution swapped",
        "input gate and output gate rows swapped",
        "convolution.input.",
        r -> r < width ? r + width : r < 2 * width ? r - width : r);
    rows(
        "an output gate for the values of a convolution",
        "output gate and value rows swapped",
        "convolution.input.",
        r -> r < width ? r : r < 2 * width ? r + width : r - width);
    String output = "layers.0.convolution.output.weight";
    plan(
        "output of a convolution of another layer",
        output + " taken from layer 2",
        leaves(n -> n.endsWith(output.substring(9)) ? swap(n, "layers.0.", "layers.2.") : n));
    if (a.biases()) {
      plan(
          "biases of convolutions dropped",
          "dropped biases of a convolution",
          plan ->
              without(
                  WrongPlans.blocks(
                          b ->
                              b.attention() instanceof ShortConvolution c
                                  ? b.withAttention(Parts.with(c, "biases", false))
                                  : b)
                      .apply(plan)));
    }
  }

  private void plantMamba() {
    List<Mamba> mambas = attentions(Mamba.class).toList();
    if (mambas.isEmpty()) {
      return;
    }
    Mamba a = mambas.getFirst();
    int width = a.width();
    plantReversed("mamba.convolution.weight", a.convolution());
    rows(
        "gates for the values of states",
        "value and gate rows swapped",
        "mamba.input.",
        r -> r < width ? r + width : r - width);
    int keys = a.stepRank();
    int queries = keys + a.stateSize();
    rows(
        "keys and queries of states swapped",
        "key and query rows swapped",
        "mamba.parameters.",
        r -> r < keys ? r : r < queries ? r + a.stateSize() : r - a.stateSize());
    plan(
        "shift of steps for what passes by states",
        "step_shift and skip swapped",
        leaves(n -> swap(n, ".mamba.step_shift.", ".mamba.skip.")));
    UnaryOperator<Mamba> epsilon = m -> Parts.with(m, "normEpsilon", 1e4 * m.normEpsilon());
    mamba("epsilon of the norms of states", "epsilon", epsilon);
    if (a.convolutionBias()) {
      mamba(
          "bias of convolutions dropped",
          "biases of a convolution",
          m -> Parts.with(m, "convolutionBias", false));
    }
    if (a.biases()) {
      mamba(
          "biases of projections dropped",
          "biases of projections",
          m -> Parts.with(m, "biases", false));
    }
  }

  private void mamba(String name, String words, UnaryOperator<Mamba> change) {
    plan(
        name,
        words,
        plan ->
            without(
                WrongPlans.blocks(
                        b ->
                            b.attention() instanceof Mamba m ? b.withAttention(change.apply(m)) : b)
                    .apply(plan)));
  }

  private void plantMamba2() {
    List<Mamba2> mambas = attentions(Mamba2.class).toList();
    if (mambas.isEmpty()) {
      return;
    }
    Mamba2 a = mambas.getFirst();
    int values = a.values();
    plantReversed("mamba.convolution.weight", a.convolution());
    rows(
        "gates for the values of states",
        "gate and value rows swapped",
        "mamba.input.",
        r -> r < values ? r + values : r < 2 * values ? r - values : r);
    int keys = 2 * values;
    int queries = keys + a.keys();
    rows(
        "keys and queries of states swapped",
        "key and query rows swapped",
        "mamba.input.",
        r -> r < keys || r >= queries + a.keys() ? r : r < queries ? r + a.keys() : r - a.keys());
    plan(
        "shift of steps and rate of decays swapped",
        "step_shift and decay_rate swapped",
        leaves(n -> swap(n, ".mamba.step_shift.", ".mamba.decay_rate.")));
    plan(
        "rate of decays for what passes by states",
        "decay_rate and skip swapped",
        leaves(n -> swap(n, ".mamba.decay_rate.", ".mamba.skip.")));
    mamba2("epsilon of a state's norm", "epsilon", "normEpsilon", 1e4 * a.normEpsilon());
    if (a.groups() > 1) {
      int other = a.normGroups() == 1 ? a.groups() : 1;
      mamba2("norm of other groups", "groups of heads", "normGroups", other);
    }
    if (a.leastStep() > 0) {
      mamba2("no least step", "least step", "leastStep", 0);
    }
    if (a.convolutionBias()) {
      mamba2("bias of convolutions dropped", "biases of a convolution", "convolutionBias", false);
    }
    if (a.biases()) {
      mamba2("biases of projections dropped", "biases of projections", "biases", false);
    }
  }

  private void plantLightning() {
    List<Lightning> lightnings = attentions(Lightning.class).toList();
    if (lightnings.isEmpty()) {
      return;
    }
    int size = lightnings.getFirst().headSize();
    rows(
        "queries and keys of states swapped",
        "query and key rows swapped",
        "lightning.input.",
        r -> r / size % 3 == 0 ? r + size : r / size % 3 == 1 ? r - size : r);
    rows(
        "keys and values of states swapped",
        "key and value rows swapped",
        "lightning.input.",
        r -> r / size % 3 == 1 ? r + size : r / size % 3 == 2 ? r - size : r);
    rows(
        "projections of states by kind",
        "rows that stand kind by kind read as head by head",
        "lightning.input.",
        r -> byKind(lightnings.getFirst().heads(), size, size, size)[r]);
    for (String part : List.of("gate", "output")) {
      String tensor = "layers.1.lightning." + part + ".weight";
      plan(
          part + " of states of another layer",
          tensor + " taken from layer 2",
          leaves(n -> n.endsWith(tensor.substring(9)) ? swap(n, "layers.1.", "layers.2.") : n));
    }
    UnaryOperator<Lightning> epsilon = l -> Parts.with(l, "normEpsilon", 1e6 * l.normEpsilon());
    plan(
        "epsilon of a state's norm",
        "epsilon",
        WrongPlans.blocks(
            b -> b.attention() instanceof Lightning l ? b.withAttention(epsilon.apply(l)) : b));
  }

  /** How halves meet a residual stream. */
  private void plantResidual() {
    if (model.hasNormedResidual()) {
      plan(
          "halves added to the residual stream",
          "halves of a layer added to the residual stream instead of what they read",
          rebuilt(x -> Parts.with(x, "normPlacement", null)));
    }
    for (String half : List.of("attention", "feedForward")) {
      String member = half + "Residual";
      String words = half.equals("attention") ? "attention" : "feed-forward part";
      if (model.layers().stream().anyMatch(b -> scale(b, half) != null)) {
        plan(
            half + " added to the residual stream as it is",
            "the " + words,
            WrongPlans.blocks(b -> Parts.with(b, member, null)));
        plan(
            "the residual stream at " + half + " off by 1 %",
            "factor of the residual stream at the " + words,
            WrongPlans.blocks(
                b -> {
                  Architecture.ResidualScale own = scale(b, half);
                  return own == null
                      ? b
                      : Parts.with(b, member, Parts.with(own, "kept", 1.01 * own.kept()));
                }));
      }
    }
  }

  private static Architecture.ResidualScale scale(Architecture.Blocks block, String half) {
    return half.equals("attention") ? block.attentionResidual() : block.feedForwardResidual();
  }

  private void mamba2(String name, String words, String member, Object other) {
    plan(
        name,
        words,
        plan ->
            without(
                WrongPlans.blocks(
                        b ->
                            b.attention() instanceof Mamba2 m
                                ? b.withAttention(Parts.with(m, member, other))
                                : b)
                    .apply(plan)));
  }

  /** Which row stands where, once all groups of a kind stand together. */
  private static int[] byKind(int groups, int... sizes) {
    int group = IntStream.of(sizes).sum();
    List<Integer> rows = new ArrayList<>();
    int before = 0;
    for (int size : sizes) {
      for (int i = 0; i < groups * size; i++) {
        rows.add(i / size * group + before + i % size);
      }
      before += size;
    }
    return rows.stream().mapToInt(Integer::intValue).toArray();
  }

  /** Rows of matrices, and elements of their biases, in another order. */
  private void rows(String name, String words, String stem, IntUnaryOperator source) {
    Set<String> tensors = sources(n -> n.contains("." + stem));
    bytes(
        name,
        words,
        (info, data) -> {
          if (tensors.contains(info.name())) {
            byte[] old = new byte[data.limit()];
            data.get(0, old);
            int row = Math.toIntExact(info.bytes() / info.shape().dim(0));
            for (int i = 0; i < old.length; i++) {
              data.put(i, old[source.applyAsInt(i / row) * row + i % row]);
            }
          }
        });
  }

  private static UnaryOperator<ConversionPlan> turned(UnaryOperator<Rotary> change) {
    return softmax(a -> a.rotary() == null ? a : a.withRotary(change.apply(a.rotary())));
  }

  private static UnaryOperator<ConversionPlan> softmax(UnaryOperator<Attention.Softmax> change) {
    return blocks(
        b -> b.attention() instanceof Attention.Softmax a ? b.withAttention(change.apply(a)) : b);
  }

  private static GroupedQuery with(GroupedQuery a, String member, Object value) {
    return Parts.with(a, member, value);
  }

  private static GroupedQuery widened(GroupedQuery a, Integer window) {
    return a.withWindow(window);
  }

  private void attention(String name, String words, UnaryOperator<GroupedQuery> change) {
    plan(name, words, grouped(change));
  }

  /** A member that the package lacks, its tensors with it. */
  private void lacking(String noun, boolean has, String member, Object absent, String words) {
    if (has) {
      plan(
          noun + " dropped",
          words,
          plan -> without(grouped(a -> with(a, member, absent)).apply(plan)));
    }
  }

  private void plantExperts() {
    MixtureOfExperts m =
        model.layers().reversed().stream()
            .map(Architecture.Blocks::feedForward)
            .filter(MixtureOfExperts.class::isInstance)
            .map(MixtureOfExperts.class::cast)
            .findFirst()
            .orElseThrow();
    Routing r = m.routing();
    if (r.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_OUTPUT) {
      plan(
          "weights on the input of experts",
          "weights on the input of experts",
          routing(x -> Parts.with(x, "weightsApplyTo", Routing.WeightsApplyTo.EXPERT_INPUT)));
    }
    if (r.mixer() != null) {
      plan(
          "weights among all experts",
          "weights among all experts",
          routing(x -> x.withMixer(null)));
      plan(
          "tolerance of near experts ten times as large",
          "tolerance of near experts",
          routing(x -> x.withMixer(new Routing.Mixer(10 * x.mixer().tolerance()))));
    } else if (r.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_OUTPUT) {
      plan(
          r.normalisation() == null ? "weights normalised" : "normalisation of weights dropped",
          "normalisation",
          routing(
              x ->
                  x.withNormalisation(
                      x.normalisation() == null ? new Routing.Normalisation(0) : null)));
    }
    plan("routing scale off by 1 %", "routing scale", routing(x -> x.withScale(1.01 * x.scale())));
    if (r.bias() == Routing.Bias.LOGITS) {
      plan(
          "the router's bias dropped",
          "a dropped bias of the router",
          plan -> without(routing(x -> x.withBias(null)).apply(plan)));
      plan(
          "the router's bias for selection alone",
          "a router bias of selection instead of logits",
          routing(x -> x.withBias(Routing.Bias.SELECTION)));
    }
    if (r.bias() == Routing.Bias.SELECTION) {
      plan(
          "selection bias dropped",
          "a dropped selection bias",
          plan -> without(routing(x -> x.withBias(null)).apply(plan)));
    }
    // One weight that is normalised is one, whatever it is made of.
    if (r.bias() == Routing.Bias.SELECTION
        && (r.expertsPerToken() > 1 || r.normalisation() == null)) {
      plan(
          "selection bias added to the weights",
          "a bias added to the weights",
          routing(x -> x.assigned() ? x : x.withBias(Routing.Bias.SELECTION_AND_WEIGHTS)));
    }
    if (r.groups() != null) {
      plan("groups dropped", "dropped groups", routing(x -> x.withGroups(null)));
      Groups.Aggregate other =
          r.groups().aggregate() == Groups.Aggregate.MAXIMUM
              ? Groups.Aggregate.SUM_OF_TOP_TWO
              : Groups.Aggregate.MAXIMUM;
      plan(
          "groups by another aggregate",
          "group aggregate",
          routing(x -> x.withGroups(Parts.with(x.groups(), "aggregate", other))));
    }
    if (m.clamp() != null) {
      plan(
          "clamp dropped",
          "a dropped clamp",
          experts(x -> Parts.with(unclampedShared(x), "clamp", null)));
      for (String member : List.of("offset", "sharpness")) {
        // Another than that of the families that have one.
        boolean plain = m.clamp().offset() == 0;
        boolean offset = member.equals("offset");
        double other = plain ? (offset ? 1 : 1.7) : offset ? 0 : 1;
        plan(
            member + " of the clamp " + other,
            member + " of the clamp",
            experts(x -> Parts.with(x, "clamp", Parts.with(x.clamp(), member, other))));
      }
    }
    if (m.beside() != null) {
      plantBeside();
    }
    if (r.logitCap() != null) {
      plan(
          "cap of router logits off by 1 %",
          "router logits", routing(x -> Parts.with(x, "logitCap", 1.01 * x.logitCap())));
    }
    if (m.shortcut() != null) {
      plantShortcut();
    }
    if (m.outputBias()) {
      plan(
          "bias of the sum over experts dropped",
          "a dropped bias of what experts make together",
          plan -> without(experts(x -> Parts.with(x, "outputBias", false)).apply(plan)));
    }
    if (m.outputFactors() != null) {
      plan(
          "factors of routed and shared experts dropped",
          "routed",
          experts(x -> Parts.with(x, "outputFactors", null)));
      plan(
          "factor of routed experts off by 1 %",
          "factor of what routed experts make",
          experts(
              x ->
                  Parts.with(
                      x,
                      "outputFactors",
                      Parts.with(x.outputFactors(), "routed", 1.01 * x.outputFactors().routed()))));
    }
    if (m.biases()) {
      plan(
          "biases of gate and up swapped",
          "biases of gate and up swapped",
          leaves(
              n -> n.contains(".experts.") && n.endsWith(".bias") ? swap(n, ".gate.", ".up.") : n));
    }
    if (m.shared() != null) {
      plan(
          "shared experts skipped",
          "shared experts skipped",
          plan -> without(experts(MixtureOfExperts::withoutShared).apply(plan)));
      if (isGated()) {
        plan(
            "gate and up of the shared experts swapped",
            "gate and up swapped in the shared experts",
            leaves(n -> n.contains(".shared.") ? swap(n, ".gate.", ".up.") : n));
      }
      if (m.shared().switched()) {
        plan(
            "switch of the shared experts dropped",
            "a dropped switch of the shared experts",
            plan ->
                without(
                    experts(x -> Parts.with(x, "shared", Parts.with(x.shared(), "switched", false)))
                        .apply(plan)));
      }
    }
  }

  /** Of what a layer does twice. */
  private void plantShortcut() {
    for (String part : List.of("attention_norm", "attention", "feed_forward_norm", "dense")) {
      plan(
          "the two times of " + part.replace('_', ' ') + " swapped",
          "of the first and of the second time swapped",
          leaves(n -> swap(n, ".again." + part + ".", "." + part + ".")));
    }
    plan(
        "the second attention's outputs of another layer",
        "layers.1.again.attention.output.weight taken from layer 2",
        leaves(
            n ->
                n.endsWith("again.attention.output.weight")
                    ? swap(n, "layers.1.", "layers.2.")
                    : n));
    plan(
        "gate and up of the second network swapped",
        "dense.gate and dense.up swapped",
        leaves(n -> n.contains(".again.dense.") ? swap(n, ".gate.", ".up.") : n));
    doubled("the second attention's output", "layers.1.again.attention.output.weight");
    plan(
        "factor of latents dropped",
        "factor of latents",
        latent(a -> Parts.with(a, "latentFactor", null)));
  }

  /** Of a network beside experts, and of what goes with it. */
  private void plantBeside() {
    plan(
        "SiLU for GELU",
        "silu instead of gelu_tanh",
        experts(x -> Parts.with(x, "activation", FeedForward.Activation.SILU)));
    plan(
        "factors of experts dropped",
        "dropped factors of experts' weights",
        plan -> without(routing(x -> Parts.with(x, "factors", false)).apply(plan)));
    plan(
        "gate and up of the network beside experts swapped",
        "gate and up swapped in the dense network",
        leaves(n -> n.contains(".dense.") ? swap(n, ".gate.", ".up.") : n));
    for (String other : List.of("router", "experts", "dense_output", "experts_output")) {
      String norm = "." + other + "_norm.";
      plan(
          "norms of " + other.replace('_', ' ') + " and of what feeds the network swapped",
          "norm swapped",
          leaves(n -> n.startsWith("layers.1.") ? swap(n, norm, ".feed_forward_norm.") : n));
    }
    plan(
        "outputs of experts and of the network normed as the other",
        "dense output norm and experts output norm swapped",
        leaves(
            n ->
                n.startsWith("layers.1.")
                    ? swap(n, ".dense_output_norm.", ".experts_output_norm.")
                    : n));
  }

  private static MixtureOfExperts unclampedShared(MixtureOfExperts m) {
    return m.shared() == null
        ? m
        : Parts.with(m, "shared", Parts.with(m.shared(), "clamped", false));
  }

  private void plantModel() {
    if (model.offsetNorms()) {
      plan(
          "norms from zero",
          "norm weights stored as differences from one",
          rebuilt(x -> Parts.with(x, "offsetNorms", false)));
    } else {
      plan(
          "norms about another centre",
          "norms about",
          rebuilt(x -> Parts.with(x, "centredNorms", !x.centredNorms())));
    }
    plan(
        "norm epsilon a hundred times as large",
        "norm epsilon",
        rebuilt(x -> x.withNormEpsilon(100 * x.normEpsilon())));
    if (model.normBiases()) {
      plan(
          "biases of norms dropped",
          // One of queries, keys and values does the same.
          "a dropped bias of",
          plan -> without(rebuilt(x -> Parts.with(x, "normBiases", false)).apply(plan)));
      plan(
          "biases of norms swapped",
          "norm swapped",
          leaves(
              n ->
                  n.endsWith("norm.bias")
                      ? swap(n, ".attention_norm.", ".feed_forward_norm.")
                      : n));
    }
    if (model.headBias()) {
      plan(
          "bias of the head dropped",
          "a dropped bias of the head",
          plan -> without(rebuilt(x -> Parts.with(x, "headBias", false)).apply(plan)));
    }
    if (!model.normBiases()
        && model.streams() == null
        && !model.attendsAgain()
        && (model.normPlacement() == null || model.normPlacement() == NormPlacement.OUTPUT)) {
      plantPlacement();
    }
    if (model.logitCap() != null) {
      plan(
          "cap of logits dropped",
          "a dropped cap of logits",
          rebuilt(x -> Parts.with(x, "logitCap", null)));
      plan(
          "cap of logits off by 1 %",
          "cap of logits", rebuilt(x -> Parts.with(x, "logitCap", 1.01 * x.logitCap())));
    }
    if (model.layerFactors()) {
      plan(
          "factors of layers dropped",
          "a dropped factor of the layer",
          plan -> without(rebuilt(x -> Parts.with(x, "layerFactors", false)).apply(plan)));
      plan(
          "the factor of another layer",
          "layer 1 with the factor of layer 2",
          leaves(n -> n.endsWith("layer.factor") ? swap(n, "layers.1.", "layers.2.") : n));
    }
    Architecture.Multipliers m = model.multipliers();
    if (m != null && m.residual() == 1 && m.logits() == 1) {
      plan(
          "embedding multiplier dropped",
          "embedding",
          rebuilt(x -> Parts.with(x, "multipliers", null)));
    } else if (m != null && m.residual() == 1 && m.embedding() == 1) {
      plan(
          "logits multiplier dropped",
          "logits multiplier",
          rebuilt(x -> Parts.with(x, "multipliers", null)));
    } else if (m != null) {
      multiplied("embedding multiplier dropped", "embedding", m, "embedding", 1);
      String head = model.tiedEmbeddings() ? "logits multiplier" : "head off by";
      multiplied("logits multiplier dropped", head, m, "logits", 1);
      multiplied("logits multiplier inverted", "logits multiplier", m, "logits", 1 / m.logits());
    }
    if (m != null && m.residual() != 1) {
      String residual = "residual multiplier";
      multiplied(residual + " dropped", residual, m, "residual", 1);
      multiplied(residual + " inverted", residual, m, "residual", 1 / m.residual());
    }
    if (!model.tiedEmbeddings()) {
      plan(
          "embedding and head confused",
          "embedding and head confused",
          leaves(
              n ->
                  n.equals("head.weight") || n.equals("embedding.weight")
                      ? swap(n, "head", "embedding")
                      : n));
    }
  }

  private void plantPlacement() {
    NormPlacement other = model.normPlacement() == null ? NormPlacement.OUTPUT : null;
    String read = other == null ? "_output_norm." : "_norm.";
    String made = other == null ? "_norm." : "_output_norm.";
    plan(
        "norms on the other side of a layer's halves",
        "norms of what halves of a layer",
        plan ->
            WrongPlans.called(
                rebuilt(x -> Parts.with(x, "normPlacement", other)).apply(plan),
                n -> n.replaceFirst("(attention|feed_forward)" + read, "$1" + made)));
  }

  private void multiplied(
      String name, String words, Architecture.Multipliers own, String member, double value) {
    plan(name, words, rebuilt(x -> Parts.with(x, "multipliers", Parts.with(own, member, value))));
  }

  private Outcome outcome(int place, Defect defect) {
    Path pack = folder.resolve("p" + place);
    try {
      defect.plant().grow(defect.checkpoint(), folder.resolve("c" + place), pack);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Report report =
        Verifier.verify(
            pack, null, Fixtures.traces(defect.checkpoint()), EnumSet.of(Execution.PLAIN));
    List<String> sentences =
        report.references().stream().flatMap(r -> r.diagnosis().stream()).toList();
    List<String> likely = sentences.stream().filter(s -> s.startsWith("Looks like ")).toList();
    return new Outcome(
        defect.checkpoint().getFileName().toString(),
        defect.name(),
        report.verdict() == Verdict.FAIL,
        !likely.isEmpty() && likely.stream().allMatch(s -> s.contains(defect.words())),
        Stream.concat(likely.stream(), sentences.stream())
            .findFirst()
            .map(said -> said.replaceFirst("[:;,].*", ""))
            .orElse(""));
  }
}
