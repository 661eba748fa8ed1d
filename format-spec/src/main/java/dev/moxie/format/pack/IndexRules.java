package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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

  private final String where;
  private final Manifest.Layout layout;
  private final Map<String, Integer> ranks = new HashMap<>();

  private IndexRules(String where, Manifest manifest) {
    this.where = where;
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
          rows.forEach(rules::checkRow);
          rules.checkEncodings(manifest, rows);
          rules.checkOrigins(manifest, rows);
        },
        () -> {
          rules.checkTensors(manifest, rows);
          rules.checkTiling(manifest, rows);
          return rules;
        });
  }

  private void checkEncodings(Manifest manifest, List<IndexRow> rows) {
    Set<String> found = new HashSet<>();
    rows.forEach(row -> found.add(row.encoding()));
    List<String> encodings = found.stream().sorted().toList();
    if (!manifest.encodings().equals(encodings)) {
      throw new CorruptException(
          where, "the manifest's encodings " + manifest.encodings(), encodings.toString(), REMEDY);
    }
  }

  private void checkRow(IndexRow row) {
    if (!row.encoding().equals(IndexRow.PLAIN) && !row.encoding().equals(IndexRow.FP8_BLOCK)) {
      throw new UnsupportedException(
          where + ", tensor " + row.describe(),
          "encoding \"plain\" or \"fp8_block\"",
          "\"" + row.encoding() + "\"",
          "update Moxie, this build does not read that encoding");
    }
    require(
        row.encoding().equals(IndexRow.encodingOf(row.dtype())),
        row,
        () -> "encoding " + IndexRow.encodingOf(row.dtype()) + " for " + row.dtype(),
        row::encoding);
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
    boolean slice = row.kind() == IndexRow.Kind.SLICE;
    require(
        slice == (row.expert() != null) && slice == (row.projection() != null),
        row,
        () -> "expert and projection on slices and only there",
        () -> row.kind().id() + ", expert " + row.expert() + ", projection " + row.projection());
    require(
        row.isLeaf() == (row.sha256() != null && row.crc32c() != null),
        row,
        () -> "digests on leaves and only there",
        () -> "a " + row.kind().id() + (row.sha256() == null ? " without" : " with"));
  }

  /** Every leaf says where it came from; no source tensor has two, and nothing was done unsaid. */
  private void checkOrigins(Manifest manifest, List<IndexRow> rows) {
    Manifest.Provenance provenance = manifest.provenance();
    boolean kept = provenance.prediction() == Manifest.PredictionLayers.KEPT;
    if (kept != (manifest.architecture().prediction() != null)) {
      throw new CorruptException(
          where,
          "layers for multi-token prediction where the manifest's provenance says kept",
          "provenance " + provenance.prediction() + ", architecture " + (kept ? "without" : "with"),
          REMEDY);
    }
    Set<String> files = new HashSet<>();
    provenance.shards().forEach(shard -> files.add(shard.file()));
    Map<String, Set<String>> sources = new HashMap<>();
    for (IndexRow row : rows) {
      String file = row.sourceFile();
      String tensor = row.sourceTensor();
      boolean hasSource = row.isLeaf() && row.role() != Role.PADDING;
      require(
          hasSource == (file != null) && hasSource == (tensor != null),
          row,
          () -> "a source for every leaf but fillers",
          () -> file + ", " + tensor);
      require(
          hasSource == (row.transform() != null),
          row,
          () -> "a transform there",
          () -> "" + row.transform());
      if (file != null && tensor != null) {
        require(files.contains(file), row, "a source among the checkpoint's weight files", file);
        boolean own = sources.computeIfAbsent(file, f -> new HashSet<>()).add(tensor);
        require(own, row, "a source of its own", tensor);
        checkTransform(provenance.cast(), row);
      }
    }
  }

  private void checkTransform(Manifest.@Nullable Cast cast, IndexRow row) {
    switch (row.transform()) {
      case IndexRow.COPY -> {}
      case IndexRow.CAST, IndexRow.DEQUANTISE_FP8_BLOCK ->
          require(
              cast != null && row.dtype() == cast.dtype() && !row.role().keepsItsDtype(),
              row,
              () -> "a transform that the manifest's provenance declares",
              () -> row.transform() + " to " + row.dtype() + " with cast " + cast);
      case null, default ->
          throw new UnsupportedException(
              where + ", tensor " + row.describe(),
              "transform copy, cast or dequantise_fp8_block",
              "\"" + row.transform() + "\"",
              "update Moxie, this build does not know that transform");
    }
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
      List<IndexRow> parts = checkTensor(spec, "which the architecture calls for", tensors, slices);
      if (parts.getFirst().encoding().equals(IndexRow.FP8_BLOCK)) {
        checkScales(spec, parts, tensors, slices);
      }
    }
    for (TensorSpec spec : Tensors.redundant(manifest.architecture())) {
      if (tensors.containsKey(spec.name())) {
        checkTensor(spec, "which the checkpoint may carry", tensors, slices);
      }
    }
    for (String extra : tensors.keySet()) {
      throw extra(extra);
    }
    for (Part extra : slices.keySet()) {
      throw extra(extra.name());
    }
  }

  /** The part of a stack that lies in one shard. */
  private record Part(String name, String shard) {
    static Part of(IndexRow row) {
      return new Part(row.name(), row.shard());
    }
  }

  private void checkScales(
      TensorSpec spec,
      List<IndexRow> values,
      Map<String, List<IndexRow>> tensors,
      Map<Part, List<IndexRow>> slices) {
    require(
        spec.shape().rank() >= 2,
        values.getFirst(),
        "a matrix, since it has block scales",
        "" + spec.shape());
    List<IndexRow> scales =
        checkTensor(Fp8Blocks.scales(spec), "the scales of " + spec.name(), tensors, slices);
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
          row.dtype() == Fp8Blocks.SCALES && beside,
          row,
          Fp8Blocks.SCALES + " in " + of.shard() + ", beside the values",
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
            && java.util.Objects.equals(row.layer(), spec.layer())
            && row.shape().equals(spec.shape()),
        row,
        kind.id() + ", " + spec.role().id() + ", " + spec.shape(),
        row.kind().id() + ", " + row.role().id() + ", " + row.shape());
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
          row.dtype() == rows.getFirst().dtype(),
          row,
          rows.getFirst().dtype() + " like the stack's other parts",
          row.dtype().toString());
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
        "experts " + first + " to " + (first + count - 1) + " for rank " + rank);
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
              && java.util.Objects.equals(slice.layer(), spec.layer())
              && java.util.Objects.equals(slice.expert(), leaf.expert())
              && slice.projection() == leaf.projection()
              && slice.shape().equals(shape)
              && slice.dtype() == stack.dtype()
              && slice.offset() == stack.offset() + leaf.position() * slice.bytes(),
          slice,
          () ->
              "slice "
                  + leaf.position()
                  + " to be "
                  + leaf.source()
                  + " "
                  + shape
                  + " in its place",
          () -> slice.dtype() + " " + slice.shape() + " at offset " + slice.offset());
    }
  }

  private void checkTiling(Manifest manifest, List<IndexRow> rows) {
    Map<String, List<IndexRow>> byShard = new HashMap<>();
    for (IndexRow row : rows) {
      if (row.isLeaf()) {
        byShard.computeIfAbsent(row.shard(), shard -> new ArrayList<>()).add(row);
      }
    }
    for (Manifest.Shard shard : manifest.shards()) {
      List<IndexRow> leaves = byShard.remove(shard.file());
      long next = shard.headerBytes();
      if (leaves != null) {
        leaves.sort(Comparator.comparingLong(IndexRow::offset).thenComparingLong(IndexRow::bytes));
        for (IndexRow leaf : leaves) {
          long expected = next;
          require(
              leaf.offset() == expected,
              leaf,
              () -> "to start at offset " + expected + " of " + shard.file(),
              () -> "offset " + leaf.offset());
          next = leaf.offset() + leaf.bytes();
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
    for (String unlisted : byShard.keySet()) {
      throw new CorruptException(
          where, "shards of the manifest's table", "\"" + unlisted + "\"", REMEDY);
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
