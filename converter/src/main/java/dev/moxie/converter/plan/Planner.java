package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.Adapter;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Recomputed;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.PackageLayout;
import dev.moxie.format.pack.ShardLayout;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.tokenizer.TokenizerFile;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Plans a conversion: every tensor that the architecture calls for is found in the checkpoint, in
 * its shape, and every tensor of the checkpoint is used exactly once, or kept although nobody
 * computes with it.
 */
public final class Planner {
  private static final Set<Dtype> PLAIN = EnumSet.of(Dtype.BF16, Dtype.F16, Dtype.F32);

  private final Checkpoint checkpoint;
  private final Family family;
  private final Family.Description description;
  private final Conversion conversion;
  private final Map<String, SourceTensor> unused;
  private final List<SourceTensor> superseded;
  private final Map<String, List<ConversionPlan.Piece>> pieces = new HashMap<>();
  private final List<ShardLayout.Item> items = new ArrayList<>();

  private Planner(
      Checkpoint checkpoint, Family family, Family.Description description, Conversion conversion) {
    this.checkpoint = checkpoint;
    this.family = family;
    this.description = description;
    this.conversion = conversion;
    this.unused = new HashMap<>(checkpoint.tensors());
    this.superseded = new ArrayList<>(checkpoint.superseded());
  }

  /** What loads such a folder elsewhere may apply the adapter, and have other numbers. */
  private static void requireNoAdapter(Checkpoint checkpoint) {
    List<String> files = Adapter.files(checkpoint);
    if (!files.isEmpty()) {
      throw new UnsupportedException(
          checkpoint.folder().toString(),
          "a model by itself",
          "an adapter with it, in " + String.join(", ", files),
          Adapter.REMEDY + ", or move its files away to convert the model without it");
    }
  }

  /** A tokenizer that contradicts itself is damaged, and breaks whatever reads the package. */
  private static void requireTokenizer(Checkpoint checkpoint) {
    if (checkpoint.companions().contains(TokenizerFile.NAME)) {
      try {
        TokenizerFile.check(checkpoint.folder().resolve(TokenizerFile.NAME));
      } catch (UnsupportedException e) {
        // Sound, if not for this build: taken over like any file, and refused by what runs it.
        return;
      }
    }
  }

  /** Plans the conversion of a checkpoint. */
  public static ConversionPlan plan(Checkpoint checkpoint, Conversion conversion) {
    requireNoAdapter(checkpoint);
    requireTokenizer(checkpoint);
    var config = checkpoint.config(conversion.ignoredConfigKeys());
    Family family = Families.of(config);
    Family.Description description = family.describe(config);
    var planner = new Planner(checkpoint, family, description, conversion);
    Architecture declared = description.architecture();
    Set<Integer> predicting = planner.predictionLayers(declared);
    Manifest.PredictionLayers prediction = planner.prediction(declared, predicting);
    boolean kept = prediction == Manifest.PredictionLayers.KEPT;
    Architecture architecture = declared.withPrediction(kept ? predicting.size() : 0);
    if (!kept) {
      planner.leaveOut(predicting);
    }
    for (TensorSpec spec : Tensors.of(architecture)) {
      if (!spec.role().mayBeShared() || planner.has(spec)) {
        planner.find(spec);
      }
    }
    planner.keepOpaque(architecture);
    planner.requireAllUsed(architecture);
    // What is no token would show only when a text is generated, half-way through it.
    checkpoint.endTokens(architecture.vocabSize());
    return new ConversionPlan(
        checkpoint,
        family,
        architecture,
        conversion,
        prediction,
        shards(planner.items, conversion.layout(), planner.pieces));
  }

  private boolean has(TensorSpec spec) {
    return unused.containsKey(family.translate(spec.name()));
  }

  /**
   * The layers for multi-token prediction that the files hold, without gap after the last decoder
   * layer. Each has something that only such layers have: another one may be a decoder layer that
   * config.json does not count.
   */
  private Set<Integer> predictionLayers(Architecture declared) {
    Set<Integer> found = new HashSet<>();
    unused.keySet().stream()
        .filter(family::isOfPrediction)
        .forEach(name -> family.layerOf(name).ifPresent(found::add));
    Set<Integer> layers = new TreeSet<>();
    for (int layer = declared.layers().size(); found.contains(layer); layer++) {
      layers.add(layer);
    }
    return layers;
  }

  private boolean isIn(Set<Integer> layers, SourceTensor source) {
    return layers.contains(family.layerOf(source.name()).orElse(-1));
  }

  private void leaveOut(Set<Integer> layers) {
    unused.values().removeIf(source -> isIn(layers, source));
    superseded.removeIf(source -> isIn(layers, source));
  }

  /** What becomes of the layers for multi-token prediction. */
  private Manifest.PredictionLayers prediction(Architecture declared, Set<Integer> layers) {
    if (layers.isEmpty()) {
      return declared.prediction() == null
          ? Manifest.PredictionLayers.NONE
          : Manifest.PredictionLayers.ABSENT;
    }
    List<SourceTensor> found =
        checkpoint.tensors().values().stream().filter(source -> isIn(layers, source)).toList();
    return switch (conversion.prediction()) {
      case KEEP -> Manifest.PredictionLayers.KEPT;
      case DROP -> Manifest.PredictionLayers.DROPPED;
      case null ->
          throw new UsageException(
              checkpoint.folder().toString(),
              "a decision about the checkpoint's multi-token prediction (%d tensors, from %s on)"
                  .formatted(found.size(), found.getFirst().name()),
              "no --mtp",
              ("pass --mtp keep to take along its %,d bytes, %.1f %% of the checkpoint, which"
                      + " nothing here computes with but export restores, or --mtp drop to leave"
                      + " them out, after which export cannot restore the checkpoint byte for byte")
                  .formatted(
                      bytes(found), 100.0 * bytes(found) / bytes(checkpoint.tensors().values())));
    };
  }

  private static long bytes(Iterable<SourceTensor> tensors) {
    long bytes = 0;
    for (SourceTensor tensor : tensors) {
      bytes += tensor.bytes();
    }
    return bytes;
  }

  /** Keeps what nobody computes with: it is there so that the checkpoint can be restored. */
  private void keepOpaque(Architecture architecture) {
    List<SourceTensor> opaque = new ArrayList<>(superseded);
    SourceTensor head = unused.get(family.translate("head.weight"));
    if (head != null && architecture.tiedEmbeddings()) {
      requireCopy(
          head,
          Objects.requireNonNull(checkpoint.tensors().get(family.translate("embedding.weight"))));
      opaque.add(head);
    }
    unused.values().stream().filter(Recomputed::is).forEach(opaque::add);
    Map<String, SourceTensor> byName = new TreeMap<>();
    for (SourceTensor source : opaque) {
      unused.remove(source.name(), source);
      byName.put(opaque(source).name(), source);
    }
    byName.values().forEach(s -> add(opaque(s), s.dtype(), List.of(copy(s))));
  }

  private static TensorSpec opaque(SourceTensor source) {
    return TensorSpec.opaque(source.file(), source.name(), source.shape());
  }

  /** A head that config.json ties to the embedding may be stored, too, as long as it is equal. */
  private void requireCopy(SourceTensor head, SourceTensor embedding) {
    boolean alike = head.dtype() == embedding.dtype() && head.shape().equals(embedding.shape());
    long mismatch = alike ? SameBytes.mismatch(checkpoint.folder(), head, embedding) : 0;
    if (mismatch >= 0) {
      throw new UnsupportedException(
          where(head),
          "the bytes of " + embedding.name() + ", to which config.json ties it",
          alike
              ? "others from byte " + mismatch + " on"
              : head.dtype()
                  + " "
                  + head.shape()
                  + " for "
                  + embedding.dtype()
                  + " "
                  + embedding.shape(),
          "if the model has a head of its own, set tie_word_embeddings to false in config.json;"
              + " else remove the copy");
    }
  }

  private void requireAllUsed(Architecture architecture) {
    if (unused.isEmpty()) {
      return;
    }
    SourceTensor left =
        unused.values().stream().min(Comparator.comparing(SourceTensor::name)).orElseThrow();
    Optional<SourceTensor> adapter =
        unused.values().stream()
            .filter(tensor -> Adapter.isTensor(tensor.name()))
            .min(Comparator.comparing(SourceTensor::name));
    if (adapter.isPresent()) {
      throw new UnsupportedException(
          where(adapter.get()),
          "a model by itself",
          "one of an adapter, among %d that the model does not have".formatted(unused.size()),
          Adapter.REMEDY + ", or take the adapter's tensors away to convert the model without it");
    }
    int layers = architecture.layers().size();
    boolean beyond =
        unused.values().stream().allMatch(t -> family.layerOf(t.name()).orElse(-1) >= layers);
    throw new UnsupportedException(
        where(left),
        "only tensors that a " + family.name() + " of this config.json has",
        unused.size()
            + " that nothing uses, this one first"
            + (beyond ? ", all in layers from %d on".formatted(layers) : ""),
        beyond
            ? "correct num_hidden_layers in config.json, or pass the config.json that belongs to"
                + " them"
            : "config.json and weights do not belong together, or this build does not know the"
                + " part");
  }

  /**
   * Spreads tensors over files as a layout says.
   *
   * @param pieces by the tensor's name, one per leaf
   */
  static List<ConversionPlan.Shard> shards(
      List<ShardLayout.Item> items,
      Manifest.Layout layout,
      Map<String, List<ConversionPlan.Piece>> pieces) {
    try {
      return PackageLayout.of(items, layout).stream()
          .map(shard -> ConversionPlan.Shard.of(shard, pieces))
          .toList();
    } catch (IllegalArgumentException e) {
      throw new UsageException(
          "--expert-parallel",
          "at most as many ranks as there are experts in a layer",
          String.valueOf(e.getMessage()),
          "pass a smaller number");
    }
  }

  /** Finds the sources of a tensor, and of its block scales where it has any. */
  private void find(TensorSpec spec) {
    List<SourceTensor> values = new ArrayList<>();
    List<@Nullable SourceTensor> scales = new ArrayList<>();
    for (TensorSpec.Leaf leaf : spec.leaves()) {
      SourceTensor source =
          take(family.translate(leaf.source()), leaf.shape(), () -> "config.json calls");
      requireFit(spec, source, values.isEmpty() ? source : values.getFirst());
      values.add(source);
      scales.add(source.dtype() == Fp8Blocks.VALUES ? takeScales(source) : null);
    }
    Dtype stored = values.getFirst().dtype();
    Manifest.Cast cast = conversion.cast();
    if (cast != null && !spec.role().keepsItsDtype()) {
      List<ConversionPlan.Piece> pieces = new ArrayList<>();
      for (int i = 0; i < values.size(); i++) {
        Transform transform = transform(values.get(i), scales.get(i), cast.dtype());
        pieces.add(ConversionPlan.Piece.of(values.get(i), transform));
      }
      add(spec, cast.dtype(), pieces);
      return;
    }
    add(spec, stored, values.stream().map(Planner::copy).toList());
    if (stored == Fp8Blocks.VALUES) {
      add(
          Fp8Blocks.scales(spec),
          Fp8Blocks.SCALES,
          scales.stream().map(s -> copy(Objects.requireNonNull(s))).toList());
    }
  }

  private void add(TensorSpec spec, Dtype dtype, List<ConversionPlan.Piece> pieces) {
    items.add(new ShardLayout.Item(spec, dtype));
    this.pieces.put(spec.name(), pieces);
  }

  private static ConversionPlan.Piece copy(SourceTensor source) {
    return ConversionPlan.Piece.of(source, new Transform.Copy());
  }

  private static Transform transform(
      SourceTensor source, @Nullable SourceTensor scales, Dtype dtype) {
    if (scales != null) {
      return new Transform.Dequantise(scales, source.shape().dim(1), dtype);
    }
    return source.dtype() == dtype ? new Transform.Copy() : new Transform.Cast(dtype);
  }

  private SourceTensor take(String name, Shape shape, Supplier<String> reason) {
    SourceTensor source = unused.remove(name);
    if (source == null) {
      throw MissingTensor.of(
          checkpoint,
          family,
          description.architecture(),
          name,
          "tensor " + name + " " + shape + ", which " + reason.get() + " for");
    }
    if (!source.shape().equals(shape)) {
      throw new CorruptException(
          where(source),
          "shape " + shape + ", which " + reason.get() + " for",
          source.shape().toString(),
          "config.json and weights do not belong together, pass those of one checkpoint");
    }
    return source;
  }

  private SourceTensor takeScales(SourceTensor values) {
    if (values.shape().rank() != 2) {
      throw new UnsupportedException(
          where(values),
          "a matrix, since it is " + values.dtype(),
          values.shape().toString(),
          "this build does not convert it");
    }
    SourceTensor scales =
        take(
            values.name() + Family.SCALES,
            Fp8Blocks.grid(values.shape()),
            () -> "the blocks of " + values.name() + " " + values.shape() + " call");
    if (scales.dtype() != Fp8Blocks.SCALES) {
      throw new UnsupportedException(
          where(scales),
          "scales of " + Fp8Blocks.SCALES,
          scales.dtype().toString(),
          "this build does not convert that dtype");
    }
    return scales;
  }

  private void requireFit(TensorSpec spec, SourceTensor source, SourceTensor first) {
    if (source.dtype() == Fp8Blocks.VALUES && spec.role().keepsItsDtype()) {
      throw new UnsupportedException(
          where(source),
          "one of " + PLAIN + " for a router",
          source.dtype().toString(),
          "no release quantises it, and rounding it changes decisions");
    }
    if (source.dtype() == Fp8Blocks.VALUES && !description.blockScaled()) {
      throw new UnsupportedException(
          where(source),
          "one of " + PLAIN + ", since config.json has no quantization_config",
          source.dtype().toString(),
          "config.json and weights do not belong together, pass those of one checkpoint");
    }
    if (source.dtype() != Fp8Blocks.VALUES && !PLAIN.contains(source.dtype())) {
      throw new UnsupportedException(
          where(source),
          "one of " + PLAIN + (description.blockScaled() ? " or " + Fp8Blocks.VALUES : ""),
          source.dtype().toString(),
          "this build does not convert that dtype");
    }
    if (source.dtype() != first.dtype()) {
      throw new UnsupportedException(
          where(source),
          first.dtype() + " like " + first.name() + ", with which it shares a stack",
          source.dtype().toString(),
          "this build does not convert experts of mixed dtypes");
    }
  }

  private String where(SourceTensor source) {
    return checkpoint.folder().resolve(source.file()) + ", tensor " + source.name();
  }
}
