package dev.moxie.format.pack;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
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
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What index, shard table and architecture must agree on before any weight is read: every tensor
 * that the architecture calls for is there once, in its shape; every stack is covered by its slices
 * in order; the leaves of a shard cover its data without gap or overlap.
 */
final class IndexRules {
  private static final String REMEDY = "the package is incomplete or altered, convert again";

  /** What weights may be of that are stored one by one. */
  private static final Set<Dtype> WEIGHTS = EnumSet.of(Dtype.F32, Dtype.F16, Dtype.BF16);

  private static final Set<Dtype> TABLES = EnumSet.of(Dtype.I64);

  private final String where;
  private final Manifest.Version version;
  private final Manifest.Layout layout;
  private final Map<String, Integer> ranks = new HashMap<>();

  private IndexRules(String where, Manifest manifest) {
    this.where = where;
    this.version = manifest.version();
    this.layout = manifest.layout();
    for (Manifest.Shard shard : manifest.shards()) {
      if (shard.rank() != null) {
        ranks.put(shard.file(), shard.rank());
      }
    }
  }

  static void check(String where, Manifest manifest, List<IndexRow> rows) {
    var rules = new IndexRules(where, manifest);
    Alongside.check(
        () -> {
          rules.checkEncodings(manifest, rows);
          rows.forEach(rules::checkRow);
          rules.checkSlicesFollow(rows);
          rules.checkOrigins(manifest, rows);
        },
        () -> {
          rules.checkTensors(manifest, rows);
          rules.checkTiling(manifest, rows);
          return rules;
        });
  }

  /** What the manifest lists is implemented here, or would have been refused before. */
  private void checkEncodings(Manifest manifest, List<IndexRow> rows) {
    Set<Encoding> found = new HashSet<>();
    rows.forEach(row -> found.add(row.encoding()));
    List<String> encodings = found.stream().map(Encoding::id).sorted().toList();
    if (!manifest.encodings().equals(encodings)) {
      throw new CorruptException(
          where, "the manifest's encodings " + manifest.encodings(), encodings.toString(), REMEDY);
    }
  }

  private void checkRow(IndexRow row) {
    boolean sized;
    try {
      sized = row.shape().bytes(row.dtype()) == row.bytes();
    } catch (ArithmeticException e) {
      sized = false;
    }
    require(
        sized,
        row,
        () -> "the bytes of its shape",
        () -> row.bytes() + " bytes for " + row.dtype() + " " + row.shape());
    checkDtype(row);
    if (row.role() == Role.PADDING) {
      checkFiller(row);
    }
    boolean slice = row.kind() == IndexRow.Kind.SLICE;
    require(
        slice == (row.expert() != null) && slice == (row.projection() != null),
        row,
        () -> "expert and projection on slices and only there",
        () ->
            row.kind().id()
                + ", expert "
                + orNone(row.expert())
                + ", projection "
                + orNone(row.projection()));
    require(
        row.isLeaf() == (row.sha256() != null) && row.isLeaf() == (row.crc32c() != null),
        row,
        () -> "digests on leaves and only there",
        () -> "a " + row.kind().id() + digests(row));
  }

  private static String digests(IndexRow row) {
    if (row.sha256() != null && row.crc32c() != null) {
      return " with them";
    }
    return row.sha256() != null
        ? " without a CRC-32C"
        : row.crc32c() != null ? " without a SHA-256" : " without them";
  }

  /** What is opaque is kept as it came; scales and fillers have rules of their own. */
  private void checkDtype(IndexRow row) {
    boolean computedWith =
        row.role() != Role.PADDING && row.role() != Role.OPAQUE && row.role() != Role.SCALE;
    if (row.encoding() instanceof BlockScaled encoding) {
      require(
          computedWith && !row.role().keepsItsDtype() && encoding.dtypes().contains(row.dtype()),
          row,
          () -> encoding.dtype() + " for " + encoding.id() + ", and no router in it",
          () -> row.dtype() + " for " + row.role().id());
    } else {
      require(
          !computedWith || dtypes(row.role()).contains(row.dtype()),
          row,
          () -> "one of " + dtypes(row.role()) + " for encoding plain",
          () -> row.dtype().toString());
    }
  }

  /** What the numbers of a role are of, one by one. */
  private static Set<Dtype> dtypes(Role role) {
    return role == Role.ROUTER_TABLE ? TABLES : WEIGHTS;
  }

  private void checkFiller(IndexRow row) {
    Shape shape = row.shape();
    require(
        row.kind() == IndexRow.Kind.TENSOR
            && row.layer() == null
            && row.dtype() == Dtype.U8
            && shape.rank() == 1
            && shape.dim(0) > 0
            && shape.dim(0) < ShardLayout.PAGE
            && row.name().matches("padding\\.(0|[1-9][0-9]*)"),
        row,
        "a filler: a tensor of U8, named padding.N, of less than a page, in no layer",
        "%s of %s %s in %s"
            .formatted(
                row.kind().id(),
                row.dtype(),
                row.shape(),
                row.layer() == null ? "no layer" : "layer " + row.layer()));
  }

  /** The slices of a stack stand just after it. */
  private void checkSlicesFollow(List<IndexRow> rows) {
    @Nullable IndexRow stack = null;
    for (IndexRow row : rows) {
      switch (row.kind()) {
        case STACK -> stack = row;
        case TENSOR -> stack = null;
        case SLICE ->
            require(
                stack != null
                    && row.name().equals(stack.name())
                    && row.shard().equals(stack.shard()),
                row,
                "slices just after their stack",
                stack == null ? "no stack before it" : stack.describe());
      }
    }
  }

  /**
   * Every leaf says where it came from; a source tensor has each of its elements in one leaf; and
   * nothing was done unsaid.
   */
  private void checkOrigins(Manifest manifest, List<IndexRow> rows) {
    Manifest.Provenance provenance = manifest.provenance();
    Set<String> files = new HashSet<>();
    provenance.shards().forEach(shard -> files.add(shard.file()));
    List<String> leftOut = Objects.requireNonNullElse(provenance.leftOut(), List.of());
    Map<String, Set<String>> whole = new HashMap<>();
    Map<Source, List<IndexRow>> seen = new LinkedHashMap<>();
    Map<Leaf, IndexRow> scales = new LinkedHashMap<>();
    for (IndexRow row : rows) {
      String file = row.sourceFile();
      String tensor = row.sourceTensor();
      boolean hasSource = row.isLeaf() && row.role() != Role.PADDING;
      require(
          hasSource == (file != null) && hasSource == (tensor != null),
          row,
          () -> "a source for every leaf but fillers",
          () -> "file " + orNone(file) + ", tensor " + orNone(tensor));
      require(
          hasSource == (row.transform() != null),
          row,
          () -> "a transform there",
          () -> orNone(row.transform()));
      if (file != null && tensor != null) {
        require(!tensor.isEmpty(), row, "the name of a source tensor", "an empty one");
        require(files.contains(file), row, "a source among the checkpoint's weight files", file);
        require(
            leftOut.stream().noneMatch(tensor::startsWith),
            row,
            () -> "a source that was not left out, as the manifest says of " + leftOut,
            () -> tensor);
        if (Made.isScales(row)) {
          scales.put(Leaf.of(row, row.name()), row);
        } else if (row.view() == null) {
          boolean own = whole.computeIfAbsent(file, f -> new HashSet<>()).add(tensor);
          require(own, row, "a source of its own", tensor);
        } else {
          seen.computeIfAbsent(new Source(file, tensor), s -> new ArrayList<>()).add(row);
        }
        checkTransform(provenance, row);
      } else {
        require(row.view() == null, row, () -> "a view of a source", () -> "a view of none");
      }
    }
    seen.forEach(
        (source, leaves) -> {
          boolean also = whole.getOrDefault(source.file(), Set.of()).contains(source.tensor());
          require(!also, leaves.getFirst(), "a source of its own", source.tensor());
          checkViews(source, leaves);
        });
    if (provenance.quantisation() != null) {
      checkQuantisedTogether(rows, scales);
    }
    if (provenance.adapter() != null) {
      checkMerged(provenance.adapter(), rows);
    }
  }

  /** As many matrices had something added as the manifest says. */
  private void checkMerged(Manifest.Adapter adapter, List<IndexRow> rows) {
    long declared = adapter.updates().stream().mapToLong(Manifest.Update::matrices).sum();
    long found =
        rows.stream().filter(row -> Made.of(row).merged() && row.role() != Role.SCALE).count();
    if (declared != found) {
      throw new CorruptException(
          where,
          declared + " matrices that an adapter was merged into, as the manifest says",
          found + " of them",
          REMEDY);
    }
  }

  /** Numbers and scales that were made together are of the same elements. */
  private void checkQuantisedTogether(List<IndexRow> rows, Map<Leaf, IndexRow> scales) {
    for (IndexRow row : rows) {
      if (row.isLeaf() && row.encoding() instanceof BlockScaled) {
        IndexRow own = scales.remove(Leaf.of(row, BlockScaled.scaleName(row.name())));
        require(
            own == null
                ? Made.of(row).quantised() == null
                : Objects.equals(own.sourceFile(), row.sourceFile())
                    && Objects.equals(own.sourceTensor(), row.sourceTensor())
                    && Objects.equals(own.view(), row.view())
                    && Objects.equals(own.transform(), row.transform()),
            row,
            () -> "scales that were made of what its numbers were made of",
            () -> own == null ? "others" : own.transform() + " of " + own.sourceTensor());
      }
    }
    for (IndexRow extra : scales.values()) {
      throw extra(extra.describe());
    }
  }

  private record Leaf(String name, @Nullable Integer expert, @Nullable Projection projection) {
    static Leaf of(IndexRow row, String name) {
      return new Leaf(name, row.expert(), row.projection());
    }
  }

  private record Source(String file, String tensor) {}

  /** That views are all of the source, too, shows its header. */
  private void checkViews(Source source, List<IndexRow> leaves) {
    long elements = 0;
    List<View> views = new ArrayList<>();
    for (IndexRow leaf : leaves) {
      View view = Objects.requireNonNull(leaf.view());
      long expected = valuesInSource(leaf);
      require(
          view.elements() == expected,
          leaf,
          () -> "a view of " + expected + " elements of " + source.tensor(),
          () -> "one of " + view.elements());
      views.add(view);
      elements += expected;
      require(elements >= 0, leaf, "views that can be counted", "more elements");
    }
    Tiling.flaw(views, elements)
        .ifPresent(
            flaw -> {
              throw new CorruptException(
                  where + ", source tensor " + source.tensor() + " of " + source.file(),
                  "each of its elements in one leaf",
                  flaw.toString(),
                  REMEDY);
            });
  }

  /** How many stored values of the source a leaf is made of. */
  private static long valuesInSource(IndexRow leaf) {
    return Made.of(leaf).inSource(leaf.shape()).elements();
  }

  private void checkTransform(Manifest.Provenance provenance, IndexRow row) {
    String transform = Objects.requireNonNull(row.transform());
    if (transform.equals(IndexRow.COPY)) {
      return;
    }
    Made made =
        Made.of(transform)
            .orElseThrow(
                () ->
                    version.unknown(
                        where + ", tensor " + row.describe(),
                        "transform copy, cast, merge, dequantise_ or quantise_ and an encoding",
                        "\"" + transform + "\""));
    Quantised quantised = made.quantised();
    // The sum of a router and what is added to it has the router's dtype.
    boolean router = row.role() == Role.ROUTER && transform.equals(IndexRow.MERGE);
    boolean kept = router || (made.merged() && made.decoded() == null && provenance.cast() == null);
    boolean declared =
        quantised == null
            ? kept || (provenance.cast() != null && row.dtype() == provenance.cast().dtype())
            : provenance.quantisation() != null
                && provenance.quantisation().encoding().equals(quantised.id());
    require(
        declared
            && (!made.merged() || provenance.adapter() != null)
            && (router || !row.role().keepsItsDtype()),
        row,
        () -> "a transform that the manifest's provenance declares",
        () ->
            "%s to %s with cast %s, quantisation %s and adapter %s"
                .formatted(
                    transform,
                    row.dtype(),
                    provenance.cast(),
                    provenance.quantisation(),
                    provenance.adapter()));
    require(
        quantised == null ? appliesToElements(made, row) : appliesToBlocks(made, quantised, row),
        row,
        () -> "a transform that applies to " + row.role().id() + " " + row.shape(),
        () -> transform);
  }

  private static boolean appliesToElements(Made made, IndexRow row) {
    BlockScaled decoded = made.decoded();
    return row.role() != Role.SCALE
        && (decoded == null || decoded.holds(row.shape()))
        && (!made.merged() || row.shape().rank() == 2);
  }

  /** Scales of a grid do not tell how many columns the matrix has; their values do. */
  private static boolean appliesToBlocks(Made made, Quantised quantised, IndexRow row) {
    BlockScaled decoded = made.decoded();
    return row.role() == Role.SCALE
        || (row.encoding().equals(quantised)
            && (decoded == null || decoded.holds(made.elements(row.shape()))));
  }

  private void checkTensors(Manifest manifest, List<IndexRow> rows) {
    // A stack may be spread over files, a part in each.
    Map<String, List<IndexRow>> tensors = new LinkedHashMap<>();
    Map<Part, List<IndexRow>> slices = new HashMap<>();
    for (IndexRow row : rows) {
      if (row.kind() == IndexRow.Kind.SLICE) {
        slices.computeIfAbsent(Part.of(row), part -> new ArrayList<>()).add(row);
      } else if (row.role() != Role.PADDING) {
        tensors.computeIfAbsent(row.name(), name -> new ArrayList<>(1)).add(row);
      }
    }
    for (TensorSpec spec : Tensors.of(manifest.architecture())) {
      if (spec.role().mayBeShared() && !tensors.containsKey(spec.name())) {
        continue;
      }
      List<IndexRow> found = tensors.get(spec.name());
      IndexRow first = found == null ? null : found.getFirst();
      String reason = "which the architecture calls for";
      if (first != null && first.encoding() instanceof BlockScaled encoding) {
        requireHolds(encoding, spec, first);
        List<IndexRow> parts = checkTensor(encoding.stored(spec), reason, tensors, slices);
        checkScales(encoding, spec, parts, tensors, slices);
      } else {
        checkTensor(spec, reason, tensors, slices);
      }
    }
    for (IndexRow row : rows) {
      if (row.role() == Role.OPAQUE) {
        checkOpaque(row, tensors, slices);
      }
    }
    for (String extra : tensors.keySet()) {
      throw extra(extra);
    }
    for (Part extra : slices.keySet()) {
      throw extra(extra.name());
    }
  }

  /** What the architecture does not call for is named after its source, and left as it was. */
  private void checkOpaque(
      IndexRow row, Map<String, List<IndexRow>> tensors, Map<Part, List<IndexRow>> slices) {
    String file = row.sourceFile();
    String tensor = row.sourceTensor();
    require(
        file != null
            && tensor != null
            && row.view() == null
            && IndexRow.COPY.equals(row.transform()),
        row,
        "a copy of all of a source tensor",
        row.transform() + " of " + (row.view() == null ? "" : "a view of ") + tensor);
    TensorSpec spec =
        TensorSpec.opaque(
            Objects.requireNonNull(file), Objects.requireNonNull(tensor), row.shape());
    require(row.name().equals(spec.name()), row, "the name " + spec.name(), row.name());
    checkTensor(spec, "an opaque tensor", tensors, slices);
  }

  /** The part of a stack that lies in one shard. */
  private record Part(String name, String shard) {
    static Part of(IndexRow row) {
      return new Part(row.name(), row.shard());
    }
  }

  private void requireHolds(BlockScaled encoding, TensorSpec spec, IndexRow row) {
    Shape matrix = spec.each();
    require(
        encoding.holds(matrix),
        row,
        () -> "a matrix that can be stored as " + encoding.id(),
        () -> "" + matrix);
  }

  private void checkScales(
      BlockScaled encoding,
      TensorSpec spec,
      List<IndexRow> values,
      Map<String, List<IndexRow>> tensors,
      Map<Part, List<IndexRow>> slices) {
    List<IndexRow> scales =
        checkTensor(encoding.scales(spec), "the scales of " + spec.name(), tensors, slices);
    require(
        scales.size() == values.size(),
        scales.getFirst(),
        values.size() + " parts like its values",
        scales.size() + " parts");
    for (int i = 0; i < scales.size(); i++) {
      IndexRow row = scales.get(i);
      IndexRow of = values.get(i);
      boolean beside =
          row.shard().equals(of.shard())
              && (spec.stack() == null || row.shape().dim(0) == of.shape().dim(0));
      require(
          encoding.scaleDtypes().contains(row.dtype()) && beside,
          row,
          "one of " + encoding.scaleDtypes() + " in " + of.shard() + ", beside the values",
          row.dtype() + " " + row.shape() + " in " + row.shard());
    }
  }

  /** Returns the rows of a tensor, which are several where a stack is spread over files. */
  private List<IndexRow> checkTensor(
      TensorSpec spec,
      String reason,
      Map<String, List<IndexRow>> tensors,
      Map<Part, List<IndexRow>> slices) {
    List<IndexRow> rows = tensors.remove(spec.name());
    if (rows == null) {
      throw new CorruptException(
          where, "tensor " + spec.name() + " " + spec.shape() + ", " + reason, "none", REMEDY);
    }
    if (spec.stack() != null) {
      checkStack(spec, spec.stack(), rows, slices);
    } else {
      require(rows.size() == 1, rows.getFirst(), "one row", rows.size() + " rows");
      Integer rank = ranks.get(rows.getFirst().shard());
      require(rank == null, rows.getFirst(), "a shard for every rank", "one for rank " + rank);
      checkAgrees(rows.getFirst(), IndexRow.Kind.TENSOR, spec);
    }
    return rows;
  }

  private void checkAgrees(IndexRow row, IndexRow.Kind kind, TensorSpec spec) {
    require(
        row.kind() == kind
            && row.role() == spec.role()
            && Objects.equals(row.layer(), spec.layer())
            && row.shape().equals(spec.shape()),
        row,
        kind.id() + ", " + place(spec.role(), spec.layer()) + ", " + spec.shape(),
        row.kind().id() + ", " + place(row.role(), row.layer()) + ", " + row.shape());
  }

  private static String place(Role role, @Nullable Integer layer) {
    return role.id() + (layer == null ? " of no layer" : " of layer " + layer);
  }

  private static String orNone(@Nullable Object value) {
    return value == null ? "none" : value.toString();
  }

  /** Parts of a stack hold consecutive experts, from the first to the last, in one dtype. */
  private void checkStack(
      TensorSpec spec,
      TensorSpec.Stack stack,
      List<IndexRow> rows,
      Map<Part, List<IndexRow>> slices) {
    int next = 0;
    for (IndexRow row : rows) {
      long experts = row.shape().rank() == 0 ? 0 : row.shape().dim(0);
      require(
          experts > 0 && experts <= stack.experts() - next,
          row,
          "some of the experts " + next + " to " + (stack.experts() - 1),
          row.shape().toString());
      TensorSpec part = spec.part(next, (int) experts);
      checkAgrees(row, IndexRow.Kind.STACK, part);
      require(
          row.dtype() == rows.getFirst().dtype()
              && row.encoding().equals(rows.getFirst().encoding()),
          row,
          stored(rows.getFirst()) + " like the stack's other parts",
          stored(row));
      List<IndexRow> own = slices.remove(Part.of(row));
      checkSlices(row, part, own == null ? List.of() : own);
      checkRank(row, next, (int) experts, stack.experts());
      next += (int) experts;
    }
    require(
        next == stack.experts(),
        rows.getLast(),
        "experts up to " + (stack.experts() - 1),
        "experts up to " + (next - 1));
  }

  private static String stored(IndexRow row) {
    return row.dtype() + " in encoding " + row.encoding().id();
  }

  /** Where experts are spread over ranks, a shard says whose it is, and holds no other's. */
  private void checkRank(IndexRow row, int first, int count, int experts) {
    Integer rank = ranks.get(row.shard());
    boolean agrees =
        layout.expertParallel() == 1
            ? rank == null
            : rank != null
                && rank >= 0
                && rank < layout.expertParallel()
                && first >= layout.firstExpert(rank, experts)
                && first + count <= layout.firstExpert(rank + 1, experts);
    require(
        agrees,
        row,
        "experts of the rank that " + row.shard() + " is for",
        "experts " + first + " to " + (first + count - 1) + " for rank " + orNone(rank));
  }

  private void checkSlices(IndexRow stack, TensorSpec spec, List<IndexRow> slices) {
    require(
        stack.offset() % ShardLayout.PAGE == 0,
        stack,
        "a stack that starts on a page of 4096 bytes",
        "offset " + stack.offset());
    List<TensorSpec.Leaf> leaves = spec.leaves();
    require(
        slices.size() == leaves.size(),
        stack,
        leaves.size() + " slices",
        slices.size() + " slices");
    for (TensorSpec.Leaf leaf : leaves) {
      IndexRow slice = slices.get(leaf.position());
      Shape shape = leaf.shape();
      require(
          slice.role() == spec.role()
              && Objects.equals(slice.layer(), spec.layer())
              && Objects.equals(slice.expert(), leaf.expert())
              && slice.projection() == leaf.projection()
              && slice.shape().equals(shape)
              && slice.dtype() == stack.dtype()
              && slice.encoding().equals(stack.encoding())
              && slice.offset() == stack.offset() + leaf.position() * slice.bytes(),
          slice,
          () ->
              "slice "
                  + leaf.position()
                  + " to be "
                  + IndexRow.describe(spec.name(), leaf.expert(), leaf.projection())
                  + ", "
                  + place(spec.role(), spec.layer())
                  + ", "
                  + stored(stack)
                  + " "
                  + shape
                  + " at offset "
                  + (stack.offset() + leaf.position() * slice.bytes()),
          () ->
              slice.describe()
                  + ", "
                  + place(slice.role(), slice.layer())
                  + ", "
                  + stored(slice)
                  + " "
                  + slice.shape()
                  + " at offset "
                  + slice.offset());
    }
  }

  private void checkTiling(Manifest manifest, List<IndexRow> rows) {
    Map<String, List<IndexRow>> byShard = new HashMap<>();
    Map<String, Set<Long>> stacks = new HashMap<>();
    for (IndexRow row : rows) {
      if (row.isLeaf()) {
        byShard.computeIfAbsent(row.shard(), shard -> new ArrayList<>()).add(row);
      } else {
        stacks.computeIfAbsent(row.shard(), shard -> new HashSet<>()).add(row.offset());
      }
    }
    for (Manifest.Shard shard : manifest.shards()) {
      List<IndexRow> leaves = byShard.remove(shard.file());
      if (leaves == null) {
        throw new CorruptException(
            where, "leaves in each shard of the manifest", "none in " + shard.file(), REMEDY);
      }
      checkTiling(shard, leaves, stacks.getOrDefault(shard.file(), Set.of()));
    }
    for (String unlisted : byShard.keySet()) {
      throw new CorruptException(
          where, "shards of the manifest's table", "\"" + unlisted + "\"", REMEDY);
    }
  }

  private void checkTiling(Manifest.Shard shard, List<IndexRow> leaves, Set<Long> stacks) {
    leaves.sort(Comparator.comparingLong(IndexRow::offset).thenComparingLong(IndexRow::bytes));
    Set<String> fillers = new HashSet<>();
    long next = shard.headerBytes();
    for (IndexRow leaf : leaves) {
      long expected = next;
      require(
          leaf.offset() == expected && leaf.bytes() <= shard.bytes() - expected,
          leaf,
          () -> "to start at offset " + expected + " of " + shard.file() + ", and to end in it",
          () -> "offset " + leaf.offset() + ", " + leaf.bytes() + " bytes");
      next = leaf.offset() + leaf.bytes();
      if (leaf.role() == Role.PADDING) {
        boolean needed = stacks.contains(next) && fillers.add(leaf.name());
        long end = next;
        require(
            needed,
            leaf,
            () -> "a filler that ends where a stack begins, under a name of its own",
            () -> "one that ends at offset " + end);
      }
    }
    if (next != shard.bytes()) {
      throw new CorruptException(
          where,
          "leaves that cover the " + shard.bytes() + " bytes of " + shard.file(),
          "leaves up to offset " + next,
          REMEDY);
    }
  }

  private CorruptException extra(String name) {
    return new CorruptException(
        where, "only tensors that the architecture calls for", name, REMEDY);
  }

  private void require(boolean holds, IndexRow row, String expected, String found) {
    require(holds, row, () -> expected, () -> found);
  }

  /** Words cost more than the check: where it is made for every row, they wait until it fails. */
  private void require(
      boolean holds, IndexRow row, Supplier<String> expected, Supplier<String> found) {
    if (!holds) {
      throw new CorruptException(
          where + ", tensor " + row.describe(), expected.get(), found.get(), REMEDY);
    }
  }
}
