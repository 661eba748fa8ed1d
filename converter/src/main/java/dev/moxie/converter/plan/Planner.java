package dev.moxie.converter.plan;

import dev.moxie.converter.adapter.LoraAdapter;
import dev.moxie.converter.adapter.LowRank;
import dev.moxie.converter.checkpoint.Adapter;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.NumberedFiles;
import dev.moxie.converter.checkpoint.Recomputed;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.DecayTable;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.Layout;
import dev.moxie.converter.family.Source;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.PackageLayout;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.pack.ShardLayout;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.tokenizer.TokenizerFile;
import dev.moxie.format.view.Tiling;
import dev.moxie.format.view.View;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
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
  private final Layout layout;
  private final Family.Description description;
  private final Conversion conversion;
  private final Map<String, SourceTensor> unused;
  private final List<SourceTensor> superseded;

  /** What is kept although nobody computes with it. */
  private final List<SourceTensor> opaque = new ArrayList<>();

  private final Map<String, List<ConversionPlan.Piece>> pieces = new HashMap<>();
  private final List<ShardLayout.Item> items = new ArrayList<>();

  /** Of canonical tensors. */
  private final Map<String, Shape> shapes = new HashMap<>();

  /** What an adapter adds, by the leaf's name. */
  private final Map<String, LowRank> updates = new HashMap<>();

  /** What has been taken of tensors that are not taken whole. */
  private final Map<String, List<View>> views = new LinkedHashMap<>();

  private Planner(
      Checkpoint checkpoint, Family family, Family.Description description, Conversion conversion) {
    this.checkpoint = checkpoint;
    this.family = family;
    this.description = description;
    Layout named = family.layout(checkpoint.tensors().keySet()).in(description.architecture());
    this.layout =
        checkpoint.isNumbered() ? numbered(checkpoint, named, description.architecture()) : named;
    this.conversion = conversion;
    this.unused = new HashMap<>(checkpoint.tensors());
    this.superseded = new ArrayList<>(checkpoint.superseded());
  }

  private static Layout numbered(Checkpoint checkpoint, Layout layout, Architecture model) {
    Layout numbered = layout.numbered(Tensors.of(model));
    int files = checkpoint.headers().size();
    if (files != numbered.numberedFiles()) {
      throw new CorruptException(
          checkpoint.folder().toString(),
          "%d files, one for each parameter that config.json calls for"
              .formatted(numbered.numberedFiles()),
          files + ", up to " + NumberedFiles.name(files - 1),
          "correct num_hidden_layers in config.json, or fetch the files that are missing");
    }
    return numbered;
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
        // Sound, if not for this build: taken over like any file by who needs no text.
        return;
      }
    }
  }

  /** Plans the conversion of a checkpoint. */
  public static ConversionPlan plan(Checkpoint checkpoint, Conversion conversion) {
    return plan(checkpoint, conversion, null);
  }

  /**
   * Plans the conversion of a checkpoint.
   *
   * @param adapter to merge into it; null without
   */
  public static ConversionPlan plan(
      Checkpoint checkpoint, Conversion conversion, @Nullable LoraAdapter adapter) {
    requireNoAdapter(checkpoint);
    requireTokenizer(checkpoint);
    var config = checkpoint.config(conversion.ignoredConfigKeys());
    Family family = Families.of(config);
    Family.Description description = family.describe(config);
    var planner = new Planner(checkpoint, family, description, conversion);
    Architecture declared = description.architecture();
    ExpertCounts.require(checkpoint, family, planner.layout, declared);
    Set<Integer> predicting = planner.predictionLayers(declared);
    Manifest.PredictionLayers prediction = planner.prediction(declared, predicting);
    boolean kept = prediction == Manifest.PredictionLayers.KEPT;
    Architecture architecture = declared.withPrediction(kept ? predicting.size() : 0);
    if (!kept) {
      planner.leaveOut(predicting);
    }
    if (adapter != null) {
      planner.updates.putAll(adapter.updates(family, architecture));
    }
    List<TensorSpec> tensors = Tensors.of(architecture);
    tensors.forEach(spec -> planner.shapes.put(spec.name(), spec.shape()));
    for (TensorSpec spec : tensors) {
      if (!spec.role().mayBeShared() || planner.has(spec)) {
        planner.find(spec);
      }
    }
    planner.requireQuantised();
    planner.requireTiled();
    List<String> leftOut = conversion.towers() ? List.of() : planner.leaveOutTowers();
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
        adapter,
        leftOut,
        shards(planner.items, conversion.layout(), planner.pieces));
  }

  private boolean has(TensorSpec spec) {
    return layout.has(spec.name()) && unused.containsKey(layout.nameOf(spec.name()));
  }

  /**
   * The layers for multi-token prediction that the files hold, without gap after the last decoder
   * layer. Each has something that only such layers have: another one may be a decoder layer that
   * config.json does not count.
   */
  private Set<Integer> predictionLayers(Architecture declared) {
    int first = declared.layers().size();
    Set<Integer> found = new HashSet<>();
    for (String name : unused.keySet()) {
      if (layout.isOfPrediction(name)) {
        layout.predictionLayerOf(name).ifPresent(found::add);
      }
    }
    Set<Integer> layers = new TreeSet<>();
    for (int layer = first; found.contains(layer); layer++) {
      layers.add(layer);
    }
    return layers;
  }

  private boolean isIn(Set<Integer> layers, SourceTensor source) {
    return layers.contains(layout.predictionLayerOf(source.name()).orElse(-1));
  }

  private void leaveOut(Set<Integer> layers) {
    unused.values().removeIf(source -> isIn(layers, source));
    superseded.removeIf(source -> isIn(layers, source));
  }

  /** Leaves out what other parts of the model load; what the names of that begin with, sorted. */
  private List<String> leaveOutTowers() {
    List<String> towers =
        family.towers().stream()
            .filter(t -> checkpoint.tensors().keySet().stream().anyMatch(n -> n.startsWith(t)))
            .sorted(PackagePaths.ORDER)
            .toList();
    unused.keySet().removeIf(name -> towers.stream().anyMatch(name::startsWith));
    superseded.removeIf(source -> towers.stream().anyMatch(source.name()::startsWith));
    return towers;
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
      case KEEP -> {
        requireNothingInCommon(layers);
        yield Manifest.PredictionLayers.KEPT;
      }
      case DROP -> Manifest.PredictionLayers.DROPPED;
      case null ->
          throw new UsageException(
              checkpoint.folder().toString(),
              "a decision about the checkpoint's multi-token prediction (%d tensors, from %s on)"
                  .formatted(found.size(), found.getFirst().name()),
              "no --mtp",
              ("pass --mtp keep to take along its %,d bytes, %.1f %% of the checkpoint, which"
                      + " run --speculate guesses with and export restores, or --mtp drop to leave"
                      + " them out, after which export cannot restore the checkpoint byte for byte")
                  .formatted(
                      bytes(found), 100.0 * bytes(found) / bytes(checkpoint.tensors().values())));
    };
  }

  /** Each such layer of a package has tensors of its own. */
  private void requireNothingInCommon(Set<Integer> layers) {
    Optional<String> common =
        checkpoint.tensors().keySet().stream()
            .filter(layout::isOfAllPrediction)
            .min(String::compareTo);
    if (layers.size() > 1 && common.isPresent()) {
      throw new UnsupportedException(
          checkpoint.folder().toString(),
          "one layer for multi-token prediction, since more of them would have "
              + common.get()
              + " in common",
          Integer.toString(layers.size()),
          "pass --mtp drop to leave them out");
    }
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
    opaque.addAll(superseded);
    SourceTensor head = unused.get(layout.nameOf("head.weight"));
    if (head != null && architecture.tiedEmbeddings()) {
      requireCopy(
          head,
          Objects.requireNonNull(checkpoint.tensors().get(layout.nameOf("embedding.weight"))));
      opaque.add(head);
    }
    unused.values().stream()
        .filter(
            tensor ->
                Recomputed.is(tensor)
                    || !family.loads(tensor.name())
                    || repeats(architecture, tensor))
        .forEach(opaque::add);
    Map<String, SourceTensor> byName = new TreeMap<>();
    for (SourceTensor source : opaque) {
      unused.remove(source.name(), source);
      byName.put(opaque(source).name(), source);
    }
    byName
        .values()
        .forEach(
            s -> add(new ShardLayout.Item(opaque(s), s.dtype()), copies(List.of(Place.of(s)))));
  }

  /** Whether a tensor says what the architecture says; one that says something else is refused. */
  private boolean repeats(Architecture architecture, SourceTensor tensor) {
    Optional<DecayTable> table = family.table(tensor.name());
    int layer = layout.layerOf(tensor.name()).orElse(-1);
    List<Architecture.Blocks> layers = architecture.layers();
    if (table.isEmpty()
        || layer < 0
        || layer >= layers.size()
        || !(layers.get(layer).attention() instanceof Attention.Lightning a)) {
      return false;
    }
    double[] rates = a.rates(layer, layers.size());
    DecayTables.require(checkpoint.folder(), where(tensor), tensor, table.get(), rates);
    return true;
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
        unused.values().stream().allMatch(t -> layout.layerOf(t.name()).orElse(-1) >= layers);
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

  /** Finds the sources of a tensor, and of its scales where it has any. */
  private void find(TensorSpec spec) {
    List<TensorSpec.Leaf> leaves = spec.leaves();
    Layout.Place first = place(leaves.getFirst());
    SourceTensor there = checkpoint.tensors().get(first.tensor());
    BlockScaled encoding = there == null ? null : encoding(there, spec);
    TensorSpec stored = encoding == null ? spec : encoding.stored(spec);
    List<TensorSpec.Leaf> values = stored.equals(spec) ? leaves : stored.leaves();
    List<TensorSpec.Leaf> grids = encoding == null ? List.of() : encoding.scales(spec).leaves();
    List<Place> places = new ArrayList<>();
    List<Place> scales = new ArrayList<>();
    for (int i = 0; i < leaves.size(); i++) {
      Layout.Place place = i == 0 ? first : place(leaves.get(i));
      Source source =
          place
              .arrangement()
              .locate(place.tensor(), values.get(i), name -> stored(encoding, shape(name)));
      Place found = take(source, encoding, () -> layout.calling(source.tensor()) + " calls");
      requireFit(spec, encoding, found.tensor(), places.isEmpty() ? null : places.getFirst());
      places.add(found);
      if (encoding != null) {
        requireDeclared(found.tensor());
        scales.add(takeScales(encoding, place, grids.get(i), leaves.get(i).shape()));
        takeShape(encoding, place.tensor(), leaves.get(i).shape());
      }
    }
    add(spec, encoding, places, scales);
  }

  /** Where a leaf lies: some encodings give the tensor of its values another name. */
  private Layout.Place place(TensorSpec.Leaf leaf) {
    Layout.Place place = layout.place(leaf);
    if (!(description.encoding(leaf.tensor().role()) instanceof BlockScaled encoding)
        || checkpoint.tensors().containsKey(place.tensor())) {
      return place;
    }
    String values = encoding.valuesFor(place.tensor());
    return checkpoint.tensors().containsKey(values)
        ? new Layout.Place(values, place.arrangement())
        : place;
  }

  private void add(
      TensorSpec spec, @Nullable BlockScaled encoding, List<Place> places, List<Place> scales) {
    Dtype stored = places.getFirst().tensor().dtype();
    Manifest.Quantisation quantisation = conversion.quantisation();
    boolean ofFourBits = encoding != null && encoding.perValue() > 1;
    if (quantisation != null && quantisation.takes(spec) && !ofFourBits) {
      addQuantised(quantisation, spec, encoding, places, scales);
      return;
    }
    Manifest.Cast cast = conversion.cast();
    Dtype to = cast == null || spec.role().keepsItsDtype() ? stored : cast.dtype();
    if (encoding == null || (cast != null && !spec.role().keepsItsDtype())) {
      List<ConversionPlan.Piece> pieces = new ArrayList<>();
      List<TensorSpec.Leaf> leaves = spec.leaves();
      for (int i = 0; i < places.size(); i++) {
        LowRank update = updates.get(leaves.get(i).source());
        Place place = places.get(i);
        @Nullable Place scale = encoding == null ? null : scales.get(i);
        Transform transform =
            update == null
                ? read(spec, encoding, place, scale, to)
                : new Transform.Merge(
                    read(spec, encoding, place, scale, Dtype.F32), update, columns(spec), to);
        pieces.add(ConversionPlan.Piece.of(place, transform));
      }
      add(new ShardLayout.Item(spec, to), pieces);
      return;
    }
    requireNoUpdate(spec, encoding, places);
    add(new ShardLayout.Item(encoding.stored(spec), stored, encoding), copies(places));
    Dtype dtype = scales.getFirst().tensor().dtype();
    for (Place scale : scales) {
      requireLike(scale.tensor(), scales.getFirst().tensor());
    }
    add(new ShardLayout.Item(encoding.scales(spec), dtype), copies(scales));
  }

  /** What gives the elements of a leaf in some dtype. */
  private static Transform read(
      TensorSpec spec,
      @Nullable BlockScaled encoding,
      Place place,
      @Nullable Place scales,
      Dtype to) {
    if (encoding != null) {
      return new Transform.Dequantise(encoding, Objects.requireNonNull(scales), columns(spec), to);
    }
    return place.tensor().dtype() == to ? new Transform.Copy() : new Transform.Cast(to);
  }

  /** A sum is no number of an encoding, whose scales fit the numbers that it came with. */
  private void requireNoUpdate(TensorSpec spec, BlockScaled encoding, List<Place> places) {
    if (spec.leaves().stream().anyMatch(leaf -> updates.containsKey(leaf.source()))) {
      throw new UnsupportedException(
          where(places.getFirst().tensor()),
          "a matrix whose elements are stored one by one, to add an adapter's to them",
          encoding.id(),
          "pass --dtype bf16, which decodes such weights before they are rounded, or convert a"
              + " base model in bf16");
    }
  }

  /** Whoever asks for other numbers is not given the same. */
  private void requireQuantised() {
    Manifest.Quantisation quantisation = conversion.quantisation();
    if (quantisation != null
        && items.stream().noneMatch(item -> item.encoding().equals(quantisation.quantised()))) {
      throw new UsageException(
          checkpoint.folder().toString(),
          "matrices that can be quantised to " + quantisation.encoding(),
          "none: their rows are no multiple of its block, or they come in numbers of four bits",
          "choose another encoding or block with --quantize, or convert without it");
    }
  }

  private void addQuantised(
      Manifest.Quantisation quantisation,
      TensorSpec spec,
      @Nullable BlockScaled encoding,
      List<Place> places,
      List<Place> scales) {
    List<ConversionPlan.Piece> values = new ArrayList<>();
    List<ConversionPlan.Piece> grids = new ArrayList<>();
    long columns = columns(spec);
    List<TensorSpec.Leaf> leaves = spec.leaves();
    for (int i = 0; i < places.size(); i++) {
      Place place = places.get(i);
      Transform own =
          read(spec, encoding, place, encoding == null ? null : scales.get(i), Dtype.F32);
      LowRank update = updates.get(leaves.get(i).source());
      Transform read = update == null ? own : new Transform.Merge(own, update, columns, Dtype.F32);
      values.add(
          ConversionPlan.Piece.of(
              place, new Transform.Quantise(read, quantisation, columns, Transform.Half.VALUES)));
      grids.add(
          ConversionPlan.Piece.of(
              place, new Transform.Quantise(read, quantisation, columns, Transform.Half.SCALES)));
    }
    Quantised to = quantisation.quantised();
    add(new ShardLayout.Item(to.stored(spec), to.dtype(), to), values);
    add(new ShardLayout.Item(to.scales(spec), to.writtenScales()), grids);
  }

  private static long columns(TensorSpec matrix) {
    return matrix.shape().dim(matrix.shape().rank() - 1);
  }

  private void add(ShardLayout.Item item, List<ConversionPlan.Piece> pieces) {
    items.add(item);
    this.pieces.put(item.spec().name(), pieces);
  }

  private static List<ConversionPlan.Piece> copies(List<Place> places) {
    return places.stream()
        .map(place -> ConversionPlan.Piece.of(place, new Transform.Copy()))
        .toList();
  }

  /** The shape of a canonical tensor. */
  private Shape shape(String canonical) {
    return Objects.requireNonNull(shapes.get(canonical), canonical);
  }

  private static Shape stored(@Nullable BlockScaled encoding, Shape shape) {
    return encoding == null ? shape : encoding.stored(shape);
  }

  /**
   * The encoding of a tensor's numbers; null if they are stored one by one. That config.json
   * declares one does not mean that all weights have it.
   */
  private @Nullable BlockScaled encoding(SourceTensor source, TensorSpec spec) {
    if (!(description.encoding(spec.role()) instanceof BlockScaled encoding)
        || !encoding.dtypes().contains(source.dtype())
        || encoding.scaleNamesInCheckpoints(source.name()).isEmpty()) {
      return null;
    }
    Shape matrix = spec.each();
    if (!encoding.holds(matrix)) {
      throw new UnsupportedException(
          where(source),
          "a matrix that can be stored as " + encoding.id() + ", since it is " + source.dtype(),
          matrix.toString(),
          "this build does not convert it");
    }
    return encoding;
  }

  private void requireDeclared(SourceTensor source) {
    String module = Layout.module(BlockScaled.valuesInCheckpoints(source.name()));
    if (!description.encoded().has(module)) {
      throw new CorruptException(
          where(source),
          "a weight stored as it is, since quantization_config leaves " + module + " out",
          source.dtype().toString(),
          "config.json and weights do not belong together, pass those of one checkpoint");
    }
  }

  private Place take(Source source, @Nullable BlockScaled encoding, Supplier<String> reason) {
    SourceTensor tensor = unused.remove(source.tensor());
    List<View> seen = views.get(source.tensor());
    if (tensor == null && seen != null && source.view() != null) {
      tensor = checkpoint.tensors().get(source.tensor());
    }
    if (tensor == null) {
      throw missing(source, reason);
    }
    List<Shape> expected =
        encoding == null ? List.of(source.shape()) : encoding.inCheckpoints(source.shape());
    if (!expected.contains(tensor.shape())) {
      throw new CorruptException(
          where(tensor),
          "shape " + expected.getFirst() + ", which " + reason.get() + " for",
          tensor.shape().toString(),
          "config.json and weights do not belong together, pass those of one checkpoint");
    }
    View view = source.view();
    if (view == null && !tensor.shape().equals(source.shape())) {
      view = View.run(0, tensor.shape().elements());
    }
    if (view != null) {
      views.computeIfAbsent(source.tensor(), name -> new ArrayList<>()).add(view);
    }
    return new Place(tensor, view);
  }

  private InvalidInputException missing(Source source, Supplier<String> reason) {
    return MissingTensor.of(
        checkpoint,
        family,
        layout,
        description.architecture(),
        source.tensor(),
        "tensor " + source.tensor() + " " + source.shape() + ", which " + reason.get() + " for");
  }

  /** What is taken in pieces is taken whole, each element once. */
  private void requireTiled() {
    views.forEach(
        (name, seen) -> {
          SourceTensor tensor = Objects.requireNonNull(checkpoint.tensors().get(name));
          Tiling.flaw(seen, tensor.shape().elements())
              .ifPresent(
                  flaw -> {
                    throw new UnsupportedException(
                        where(tensor),
                        "each element in one tensor of the architecture",
                        flaw.toString(),
                        "config.json and weights do not belong together, or this build does not"
                            + " know the layout");
                  });
        });
  }

  private Place takeScales(
      BlockScaled encoding, Layout.Place place, TensorSpec.Leaf grid, Shape matrix) {
    List<String> names = encoding.scaleNamesInCheckpoints(place.tensor());
    String name =
        names.stream()
            .filter(checkpoint.tensors()::containsKey)
            .findFirst()
            .orElse(names.getFirst());
    Source source = place.arrangement().locate(name, grid, other -> encoding.grid(shape(other)));
    Place scales =
        take(source, null, () -> "the blocks of " + place.tensor() + " " + matrix + " call");
    if (!encoding.scaleDtypes().contains(scales.tensor().dtype())) {
      throw new UnsupportedException(
          where(scales.tensor()),
          "scales of one of " + encoding.scaleDtypes(),
          scales.tensor().dtype().toString(),
          "this build does not convert that dtype");
    }
    return scales;
  }

  /** Takes the tensor that states a matrix's shape once more, which is kept for export. */
  private void takeShape(BlockScaled encoding, String values, Shape matrix) {
    Optional<String> name = encoding.shapeInCheckpoints(values);
    if (name.isPresent()) {
      var source = new Source(name.get(), Shape.of(matrix.rank()), null);
      SourceTensor tensor = take(source, null, () -> values + " calls").tensor();
      List<Long> stated = StatedShape.of(checkpoint.folder(), tensor);
      if (!stated.equals(matrix.dims())) {
        throw new CorruptException(
            where(tensor),
            matrix.dims() + ", the shape that config.json gives " + values,
            stated.toString(),
            "config.json and weights do not belong together, pass those of one checkpoint");
      }
      opaque.add(tensor);
    }
  }

  private void requireFit(
      TensorSpec spec, @Nullable BlockScaled encoding, SourceTensor source, @Nullable Place first) {
    if (encoding != null && spec.role().keepsItsDtype()) {
      throw new UnsupportedException(
          where(source),
          "one of " + PLAIN + " for a router",
          source.dtype().toString(),
          "no release quantises it, and rounding it changes decisions");
    }
    Set<Dtype> plain = spec.role() == Role.ROUTER_TABLE ? EnumSet.of(Dtype.I64) : PLAIN;
    if (encoding == null && !plain.contains(source.dtype())) {
      Encoding declared = description.encoding(spec.role());
      boolean any = declared instanceof BlockScaled;
      throw new UnsupportedException(
          where(source),
          "one of "
              + plain
              + (any ? " or " + declared.id() : ", since config.json has no quantization_config"),
          source.dtype().toString(),
          any
              ? "this build does not convert that dtype"
              : "config.json and weights do not belong together, pass those of one checkpoint");
    }
    if (first != null) {
      requireLike(source, first.tensor());
    }
  }

  private void requireLike(SourceTensor source, SourceTensor first) {
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
