package dev.moxie.converter.inspect;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Planner;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.ParameterCount;
import dev.moxie.format.model.PartCount;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.RoutingWords;
import dev.moxie.format.model.Symbols;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.text.Lines;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A model as {@code moxie inspect} shows it.
 *
 * @param kind "config", "checkpoint" or "package"
 * @param layers one entry per run of equal layers
 * @param parts parameters by part of the model, largest first
 * @param memory estimated bytes of all weights by element type
 * @param bytesPerToken bytes of weights that one decoding step reads, by element type
 * @param cacheBytesPerToken bytes that a token adds to the cache in its smallest form (the
 *     compressed latent, where attention has one), in float32 and float16
 * @param expandedCacheBytesPerToken likewise if the keys and values of every head are kept
 * @param stateBytesPerSequence bytes that layers keep of a sequence however long it is, in float32
 * @param endTokens the tokens that end a text, as far as these files say
 * @param prediction layers for multi-token prediction, in words; null where there are none
 * @param weights what is stored, where something is
 * @param fits what would fit into the memory that was asked about; empty if none was
 */
public record Inspection(
    String path,
    String kind,
    String family,
    Architecture architecture,
    List<Layers> layers,
    ParameterCount parameters,
    List<PartCount> parts,
    Map<String, Long> memory,
    Map<String, Long> bytesPerToken,
    Map<String, Long> cacheBytesPerToken,
    Map<String, Long> expandedCacheBytesPerToken,
    long stateBytesPerSequence,
    EndTokens endTokens,
    @Nullable String prediction,
    @Nullable Weights weights,
    List<Fit> fits) {

  /**
   * Bits per weight. Integer blocks carry a 16-bit scale for every 32 weights, fp8 blocks a 32-bit
   * one for every 128 × 128.
   */
  private static final Map<String, Double> BITS = bits();

  /**
   * A run of equal layers, first and last.
   *
   * @param routing in words; null without experts
   * @param equations what a layer makes of the residual stream h, line by line
   */
  public record Layers(int first, int last, @Nullable String routing, List<String> equations) {}

  /**
   * Stored weights.
   *
   * @param bytesByDtype tensor bytes, without headers
   * @param bytesByEncoding of a package, scales with their values; of a checkpoint empty
   * @param bytesByPart of a package, scales with their values; of a checkpoint empty
   * @param adapter that was merged into them; null without
   * @param leftOut what the names of tensors begin with that were left out by choice
   */
  public record Weights(
      int files,
      int tensors,
      long bytes,
      Map<Dtype, Long> bytesByDtype,
      Map<String, Long> bytesByEncoding,
      Map<String, Long> bytesByPart,
      Manifest.@Nullable Adapter adapter,
      List<String> leftOut) {}

  private static Map<String, Double> bits() {
    Map<String, Double> bits = new LinkedHashMap<>();
    bits.put("f32", 32.0);
    bits.put("bf16", 16.0);
    bits.put("fp8", 8 + 32.0 / (128 * 128));
    bits.put("int8", 8.5);
    bits.put("int4", 4.5);
    return bits;
  }

  /**
   * Inspects a checkpoint folder, a package folder, or a config.json.
   *
   * @param ignoredConfigKeys keys of config.json that the user declares to be without effect
   */
  public static Inspection of(Path path, Set<String> ignoredConfigKeys) {
    if (Files.isDirectory(path) && MoxiePackage.isPackage(path)) {
      return ofPackage(path);
    }
    if (Files.isRegularFile(path)) {
      Config config = Config.read(path, ignoredConfigKeys);
      Family family = Families.of(config);
      Architecture architecture = family.describe(config).architecture();
      return of(
          path,
          "config",
          family.name(),
          architecture,
          endTokens(path, architecture.vocabSize()),
          family.layouts().getFirst().in(architecture)::has,
          declared(architecture),
          null);
    }
    Checkpoint checkpoint = Checkpoint.open(path);
    ConversionPlan plan = plan(checkpoint, ignoredConfigKeys);
    Map<Dtype, Long> bytes = new TreeMap<>();
    Stream.concat(checkpoint.tensors().values().stream(), checkpoint.superseded().stream())
        .forEach(tensor -> bytes.merge(tensor.dtype(), tensor.bytes(), Long::sum));
    return of(
        path,
        "checkpoint",
        plan.family().name(),
        plan.architecture(),
        checkpoint.endTokens(plan.architecture().vocabSize()),
        plan.shards().stream()
                .flatMap(shard -> shard.layout().tensors().stream())
                .map(placed -> placed.spec().name())
                .collect(Collectors.toSet())
            ::contains,
        plan.prediction() == Manifest.PredictionLayers.DROPPED
            ? "there, but not whole: to be converted without (--mtp drop)"
            : words(plan.prediction()),
        new Weights(
            checkpoint.headers().size(),
            checkpoint.tensorCount(),
            sum(bytes),
            bytes,
            Map.of(),
            Map.of(),
            null,
            List.of()));
  }

  /** Planning is what shows that config and weights belong together. */
  private static ConversionPlan plan(Checkpoint checkpoint, Set<String> ignoredConfigKeys) {
    try {
      return Planner.plan(
          checkpoint, new Conversion(ignoredConfigKeys, Conversion.Prediction.KEEP, null));
    } catch (InvalidInputException whole) {
      try {
        return Planner.plan(
            checkpoint, new Conversion(ignoredConfigKeys, Conversion.Prediction.DROP, null));
      } catch (InvalidInputException parts) {
        throw whole;
      }
    }
  }

  /** Those of a config.json alone, whatever lies beside it. */
  private static EndTokens endTokens(Path config, int vocabSize) {
    return EndTokens.of(
        name ->
            name.equals("config.json")
                ? Optional.of(StrictJson.readBounded(config, StrictJson.MAX_FILE_BYTES))
                : Optional.empty(),
        name -> config,
        vocabSize);
  }

  private static Inspection ofPackage(Path path) {
    try (MoxiePackage pack = MoxiePackage.open(path)) {
      Manifest manifest = pack.manifest();
      Map<Dtype, Long> bytes = new TreeMap<>();
      Map<String, Long> encodings = new TreeMap<>();
      Map<PartCount.Part, Long> parts = new EnumMap<>(PartCount.Part.class);
      int tensors = 0;
      for (IndexRow row : pack.rows()) {
        if (row.isLeaf() && row.role() != Role.PADDING) {
          bytes.merge(row.dtype(), row.bytes(), Long::sum);
          encodings.merge(row.encoding().id(), row.bytes(), Long::sum);
          if (row.role() != Role.SCALE) {
            parts.merge(PartCount.Part.of(row.role()), row.bytes(), Long::sum);
          }
          pack.scales(row)
              .ifPresent(
                  scales -> {
                    parts.merge(PartCount.Part.of(row.role()), scales.bytes(), Long::sum);
                    encodings.merge(row.encoding().id(), scales.bytes(), Long::sum);
                    encodings.merge(scales.encoding().id(), -scales.bytes(), Long::sum);
                  });
        }
        tensors += row.kind() == IndexRow.Kind.SLICE ? 0 : 1;
      }
      return of(
          path,
          "package",
          manifest.provenance().family(),
          manifest.architecture(),
          EndTokens.of(pack),
          pack.rows().stream().map(IndexRow::name).collect(Collectors.toSet())::contains,
          words(manifest.provenance().prediction()),
          new Weights(
              manifest.shards().size(),
              tensors,
              sum(bytes),
              bytes,
              encodings,
              largestFirst(parts),
              manifest.provenance().adapter(),
              Objects.requireNonNullElse(manifest.provenance().leftOut(), List.of())));
    }
  }

  private static Map<String, Long> largestFirst(Map<PartCount.Part, Long> bytes) {
    Map<String, Long> sorted = new LinkedHashMap<>();
    bytes.entrySet().stream()
        .sorted(Map.Entry.<PartCount.Part, Long>comparingByValue().reversed())
        .forEach(entry -> sorted.put(entry.getKey().words(), entry.getValue()));
    return sorted;
  }

  private static @Nullable String declared(Architecture architecture) {
    return architecture.prediction() == null
        ? null
        : "declared, %d of them".formatted(architecture.prediction().count());
  }

  private static @Nullable String words(Manifest.PredictionLayers prediction) {
    return switch (prediction) {
      case NONE -> null;
      case ABSENT -> "declared by config.json, but the files hold none";
      case KEPT -> "there, not part of the forward pass";
      case DROPPED -> "left out when it was converted";
    };
  }

  private static long sum(Map<Dtype, Long> bytes) {
    return bytes.values().stream().mapToLong(Long::longValue).sum();
  }

  private static Inspection of(
      Path path,
      String kind,
      String family,
      Architecture architecture,
      EndTokens endTokens,
      Predicate<String> tensors,
      @Nullable String prediction,
      @Nullable Weights weights) {
    ParameterCount count = ParameterCount.of(architecture, tensors);
    List<Layers> layers = new ArrayList<>();
    long cached = 0;
    long expanded = 0;
    long kept = 0;
    int first = 0;
    for (Architecture.Blocks run : architecture.runs()) {
      int last = first + run.count() - 1;
      layers.add(
          new Layers(
              first,
              last,
              run.feedForward() instanceof FeedForward.MixtureOfExperts moe
                  ? RoutingWords.of(moe)
                  : null,
              Symbols.layer(architecture, first)));
      cached += run.count() * run.cachedPerToken();
      expanded += run.count() * run.expandedPerToken();
      kept += run.count() * run.attention().keptPerSequence();
      first = last + 1;
    }
    return new Inspection(
        path.toString(),
        kind,
        family,
        architecture,
        layers,
        count,
        PartCount.of(architecture),
        bytes(count.total()),
        bytes(count.readPerToken()),
        cacheBytes(cached),
        cacheBytes(expanded),
        4 * kept,
        endTokens,
        prediction,
        weights,
        List.of());
  }

  /** The same, with what would fit into so many bytes of memory. */
  public Inspection fitting(long room) {
    return new Inspection(
        path,
        kind,
        family,
        architecture,
        layers,
        parameters,
        parts,
        memory,
        bytesPerToken,
        cacheBytesPerToken,
        expandedCacheBytesPerToken,
        stateBytesPerSequence,
        endTokens,
        prediction,
        weights,
        Fit.of(
            architecture,
            room - stateBytesPerSequence,
            Objects.requireNonNull(cacheBytesPerToken.get("f32"))));
  }

  private static Map<String, Long> cacheBytes(long numbers) {
    Map<String, Long> bytes = new LinkedHashMap<>();
    bytes.put("f32", 4 * numbers);
    bytes.put("f16", 2 * numbers);
    return bytes;
  }

  private static Map<String, Long> bytes(long parameters) {
    Map<String, Long> bytes = new LinkedHashMap<>();
    BITS.forEach((type, bits) -> bytes.put(type, Math.round(parameters * bits / 8)));
    return bytes;
  }

  /** The inspection as one JSON object. */
  public String json() {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(this);
  }

  /** The inspection as lines for a person. */
  public String text() {
    var lines = new Lines();
    lines.add("%s  %s, family %s", path, kind, family);
    lines.add(
        "model        %d layers, hidden %,d, vocabulary %,d, up to %,d tokens, embeddings %s",
        architecture.layers().size(),
        architecture.hiddenSize(),
        architecture.vocabSize(),
        architecture.maxPositions(),
        architecture.tiedEmbeddings() ? "tied" : "not tied");
    for (int i = 0; i < layers.size(); i++) {
      Layers run = layers.get(i);
      Architecture.Blocks blocks = architecture.runs().get(i);
      lines.add("layers %d-%d%s", run.first(), run.last(), stack(architecture, run.first()));
      lines.add("  attention  %s", words(blocks.attention()));
      if (blocks.cross() != null) {
        lines.add(
            "             then to the encoder: %d heads of %d",
            blocks.cross().heads(), blocks.cross().headSize());
      }
      lines.add("  %s", words(blocks.feedForward()));
      if (run.routing() != null) {
        lines.add("  routing    %s", run.routing());
      }
      String before = "  equations  ";
      for (String line : run.equations()) {
        lines.add("%s%s", before, line);
        before = "             ";
      }
    }
    lines.add(
        "parameters   %s in all, %s active per token (%.1f %%), %.1f %% in routed experts",
        Amounts.count(parameters.total()),
        Amounts.count(parameters.active()),
        100.0 * parameters.active() / parameters.total(),
        100.0 * parameters.routed() / parameters.total());
    lines.add(
        "             %s active without embedding, norms and routers",
        Amounts.count(parameters.activeInside()));
    String name = "by part      ";
    for (PartCount part : parts) {
      lines.add(
          "%s%-16s %8s  %5.1f %%%s",
          name,
          part.part(),
          Amounts.count(part.total()),
          100.0 * part.total() / parameters.total(),
          part.active() == part.total() ? "" : "; active " + Amounts.count(part.active()));
      name = "             ";
    }
    if (prediction != null) {
      lines.add(
          "prediction   layers for multi-token prediction: %s%s",
          prediction,
          parameters.prediction() == 0
              ? ""
              : "; %s parameters besides those above"
                  .formatted(Amounts.count(parameters.prediction())));
    }
    lines.add("memory       all weights, estimated: %s", sizes(memory));
    lines.add("per token    weights read: %s", sizes(bytesPerToken));
    lines.add("cache        per token of context: %s", sizes(cacheBytesPerToken));
    if (!expandedCacheBytesPerToken.equals(cacheBytesPerToken)) {
      lines.add(
          "             as keys and values of every head: %s (%.1f times)",
          sizes(expandedCacheBytesPerToken),
          (double) expandedCacheBytesPerToken.getOrDefault("f32", 0L)
              / cacheBytesPerToken.getOrDefault("f32", 1L));
    }
    if (stateBytesPerSequence > 0) {
      lines.add(
          "             and of a sequence, however long: f32 %s",
          Amounts.size(stateBytesPerSequence));
    }
    endTokens.warning().ifPresent(warning -> lines.add("end tokens   %s", warning));
    for (Fit fit : fits) {
      lines.add(
          "%-12s %-40s %10s%s",
          fit.fits() ? "fits" : "does not fit",
          fit.options(),
          Amounts.size(fit.bytes()),
          fit.fits() ? "; tokens of context: " + fit.context() : "");
    }
    if (weights != null) {
      lines.add(
          "stored       %d tensors in %d files, %s: %s",
          weights.tensors(),
          weights.files(),
          Amounts.size(weights.bytes()),
          weights.bytesByDtype());
      if (weights.bytesByEncoding().size() > 1) {
        lines.add("             by encoding: %s", sizes(weights.bytesByEncoding()));
      }
      if (!weights.bytesByPart().isEmpty()) {
        lines.add("             by part: %s", sizes(weights.bytesByPart()));
      }
      if (!weights.leftOut().isEmpty()) {
        lines.add(
            "left out     by choice: tensors of %s", String.join(" and of ", weights.leftOut()));
      }
      if (weights.adapter() != null) {
        addAdapter(lines, weights.adapter());
      }
    }
    return lines.toString();
  }

  private static void addAdapter(Lines lines, Manifest.Adapter adapter) {
    lines.add("merged       an adapter of SHA-256 %s", adapter.files().getLast().sha256());
    for (Manifest.Update update : adapter.updates()) {
      lines.add(
          "             into %d matrices with rank %d, times %s",
          update.matrices(), update.rank(), update.scale());
    }
  }

  private static String stack(Architecture architecture, int layer) {
    if (architecture.encoder() == null) {
      return "";
    }
    return layer < architecture.encoderLayers() ? ", of the encoder" : ", of the decoder";
  }

  private static String words(Attention attention) {
    return switch (attention) {
      case Attention.GroupedQuery a ->
          "grouped-query: %d query heads, %d key/value heads of %d%s; rotary %s%s"
                  .formatted(
                      a.heads(),
                      a.keyValueHeads(),
                      a.headSize(),
                      a.valueSize() == null ? "" : " and " + a.valueSize(),
                      words(a.rotary()),
                      a.window() == null ? "" : "; window of " + a.window())
              + (a.outputGate() || a.gate() != null ? "; output gated" : "")
              + (a.scoreCap() == null ? "" : "; scores capped at " + a.scoreCap())
              + (a.bidirectional() ? "; to all tokens" : "")
              + (a.distances() == null
                  ? ""
                  : "; biases of %d distances".formatted(a.distances().buckets()));
      case Attention.GatedDelta a -> words(a);
      case Attention.ShortConvolution a ->
          "short convolution: %d channels, the last %d tokens%s"
              .formatted(a.width(), a.convolution(), a.biases() ? "; biases" : "");
      case Attention.Mamba a ->
          "Mamba: %d channels, states of %d, steps from %d; convolution of %d"
              .formatted(a.width(), a.stateSize(), a.stepRank(), a.convolution());
      case Attention.Mamba2 a ->
          "Mamba-2: %d heads of %d, states of %d in %d groups; convolution of %d"
              .formatted(a.heads(), a.headSize(), a.stateSize(), a.groups(), a.convolution());
      case Attention.Lightning a ->
          "lightning: %d heads of %d, each with a state; output gated"
              .formatted(a.heads(), a.headSize());
      case Attention.None _ -> "none";
      case Attention.Compressed a -> words(a);
      case Attention.MultiHeadLatent a ->
          "latent of %d for %d heads: queries and keys of %d + %d %s, values of %d%s; rotary %s"
              .formatted(
                  a.latentSize(),
                  a.heads(),
                  a.plainSize(),
                  a.shared(),
                  a.rotary() == null ? "shared" : "turned",
                  a.valueSize(),
                  a.queryRank() == null ? "" : "; queries from a latent of " + a.queryRank(),
                  words(a.rotary()));
    };
  }

  private static String words(Attention.Compressed a) {
    Attention.Compression c = a.compression();
    Attention.Indexer n = c == null ? null : c.indexer();
    String entries = c == null ? "" : ", and entries of %d tokens".formatted(c.tokens());
    String some = n == null ? "" : ", of which at most %d".formatted(n.kept());
    return "%d heads of %d on one key and value; window of %d%s%s; rotary %s"
        .formatted(a.heads(), a.headSize(), a.window(), entries, some, words(a.rotary()));
  }

  private static String words(Attention.GatedDelta a) {
    return "gated delta rule: %d value heads of %d, %d query and key heads of %d; convolution of %d%s"
        .formatted(
            a.valueHeads(),
            a.valueSize(),
            a.keyHeads(),
            a.keySize(),
            a.convolution(),
            a.decayRank() == null ? "" : "; each row of a state decays by itself");
  }

  private static String words(@Nullable Rotary rotary) {
    if (rotary == null) {
      return "none";
    }
    String pairs =
        switch (rotary.pairing()) {
          case HALVES -> "in halves";
          case INTERLEAVED -> "interleaved";
        };
    String scaling =
        switch (rotary.scaling()) {
          case null -> "";
          case Rotary.Linear linear -> ", slowed %s times".formatted(linear.factor());
          case Rotary.Llama3 llama ->
              ", slow pairs slowed %s times from %d positions"
                  .formatted(llama.factor(), llama.originalPositions());
          case Rotary.Proportional some -> ", %d pairs alone".formatted(some.pairs());
          case Rotary.LongRope rope ->
              ", each pair slowed by a number of its own, cosines and sines times %s"
                  .formatted(rope.magnitude());
          case Rotary.Yarn yarn ->
              ", YaRN %s times %d positions, softmax scale times %.4f"
                  .formatted(yarn.factor(), yarn.originalPositions(), yarn.softmaxFactor());
        };
    return "theta %s, %s%s".formatted(rotary.theta(), pairs, scaling);
  }

  private static String words(FeedForward feedForward) {
    return switch (feedForward) {
      case FeedForward.None _ -> "network    none";
      case FeedForward.Dense dense ->
          "dense      %s of width %d"
              .formatted(words(dense.activation(), dense.ungated()), dense.intermediateSize());
      case FeedForward.MixtureOfExperts moe ->
          "experts    %d of %d per token%s, %s of width %d%s"
              .formatted(
                  moe.routing().expertsPerToken() / moe.tasks(),
                  moe.experts() / moe.tasks(),
                  moe.byTask() ? " for each of " + moe.tasks() + " tasks" : "",
                  words(moe.activation(), moe.ungated()),
                  moe.intermediateSize(),
                  moe.shared() != null
                      ? "; shared of width " + moe.shared().intermediateSize()
                      : moe.beside() != null
                          ? "; beside a network of width " + moe.beside().intermediateSize()
                          : "");
    };
  }

  private static String words(FeedForward.Activation f, boolean ungated) {
    return (ungated ? "" : "gated ") + f.name().toLowerCase(Locale.ROOT);
  }

  private static String sizes(Map<String, Long> bytes) {
    List<String> parts = new ArrayList<>();
    bytes.forEach((type, size) -> parts.add(type + " " + Amounts.size(size)));
    return String.join(", ", parts);
  }
}
