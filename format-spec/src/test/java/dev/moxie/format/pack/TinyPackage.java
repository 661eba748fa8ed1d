package dev.moxie.format.pack;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.encoding.Fp8Channel;
import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.encoding.Int4Group;
import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorDeclaration;
import dev.moxie.format.view.View;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** A package of a few hundred numbers, for the tests of this module and for conformance vectors. */
final class TinyPackage {
  static final Architecture ARCHITECTURE = architecture(3, 4, 2);

  private TinyPackage() {}

  static Architecture architecture(int experts, int hidden, int intermediate) {
    var routing =
        new Routing(
            2,
            Routing.Score.SOFTMAX,
            null,
            null,
            new Routing.Normalisation(0),
            1,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    return new Architecture(
        5,
        hidden,
        16,
        1e-5,
        false,
        List.of(
            new Architecture.Blocks(
                1,
                new Attention.GroupedQuery(
                    2,
                    1,
                    2,
                    0.7071067811865475,
                    null,
                    new Rotary(1e4, 2, Rotary.Pairing.HALVES, null)),
                new FeedForward.MixtureOfExperts(
                    experts, intermediate, FeedForward.Activation.SILU, routing, null))),
        null);
  }

  /** The blocks of most tests. */
  static final Fp8Block BLOCKS = new Fp8Block(128, 128);

  /** Everything that the one above has not, with block scales for matrices inside the layers. */
  static final Architecture LATENT = latent();

  private static Architecture latent() {
    var yarn = new Rotary.Yarn(4, 8, 32, 1, 1, 1.3);
    var attention =
        new Attention.MultiHeadLatent(
            2, 3, 4, 2, 3, 0.5, 1e-6, new Rotary(1e4, 2, Rotary.Pairing.INTERLEAVED, yarn));
    var routing =
        new Routing(
            2,
            Routing.Score.SIGMOID,
            Routing.Bias.SELECTION,
            new Routing.Groups(
                2,
                1,
                Routing.Groups.Aggregate.SUM_OF_TOP_TWO,
                Routing.Groups.MaskValue.NEGATIVE_INFINITY),
            new Routing.Normalisation(1e-20),
            2.5,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    var experts =
        new FeedForward.MixtureOfExperts(
            4, 130, FeedForward.Activation.SILU, routing, new FeedForward.SharedExperts(5));
    return new Architecture(
        5,
        4,
        16,
        1e-5,
        false,
        List.of(
            new Architecture.Blocks(
                1, attention, new FeedForward.Dense(6, FeedForward.Activation.SILU)),
            new Architecture.Blocks(1, attention, experts)),
        new Architecture.Prediction(1, attention, experts));
  }

  static void writeLatent(Path target) {
    write(target, LATENT, false);
  }

  static void write(Path target) {
    write(target, ARCHITECTURE, false);
  }

  static void write(Path target, Architecture architecture, boolean force) {
    write(target, architecture, Manifest.Layout.PLAIN, force);
  }

  static void write(Path target, Architecture architecture, Manifest.Layout layout, boolean force) {
    write(
        target,
        architecture,
        layout,
        layouts(architecture, layout),
        Stored.of(architecture),
        force);
  }

  /** Writes a package of these shards, whether the architecture calls for them or not. */
  static void write(
      Path target,
      Architecture architecture,
      Manifest.Layout layout,
      List<ShardLayout> shards,
      Stored stored,
      boolean force) {
    try (PackageWriter writer = PackageWriter.create(target, force, job(shards, Map.of()))) {
      writer.writeFile("source/config.json", "{}\n".getBytes(StandardCharsets.UTF_8));
      for (ShardLayout shard : shards) {
        writer.writeShard(shard, origins(shard, stored), (tensor, leaf) -> bytes(leaf));
      }
      commit(writer, architecture, layout, shards, stored);
    }
  }

  static StagedFolder.Job job(
      Architecture architecture, Manifest.Layout layout, Map<String, String> facts) {
    return job(layouts(architecture, layout), facts);
  }

  private static StagedFolder.Job job(List<ShardLayout> shards, Map<String, String> facts) {
    Set<String> files = new TreeSet<>(Set.of("source/config.json", PackagePaths.headerOf(SOURCE)));
    shards.forEach(shard -> files.add(shard.file()));
    return new StagedFolder.Job(facts, files);
  }

  static void commit(PackageWriter writer, Architecture architecture, Manifest.Layout layout) {
    commit(writer, architecture, layout, layouts(architecture, layout), Stored.of(architecture));
  }

  private static void commit(
      PackageWriter writer,
      Architecture architecture,
      Manifest.Layout layout,
      List<ShardLayout> shards,
      Stored stored) {
    SafetensorsHeader header = sourceHeader(shards, stored);
    writer.writeFile(PackagePaths.headerOf(SOURCE), header.encode());
    writer.commit(
        new Manifest.Producer("tiny", "1"),
        architecture,
        layout,
        new Manifest.Provenance(
            "tiny",
            List.of(new Manifest.SourceShard(SOURCE, header.fileBytes())),
            List.of(),
            List.of(),
            architecture.prediction() == null
                ? Manifest.PredictionLayers.NONE
                : Manifest.PredictionLayers.KEPT,
            stored.cast(),
            stored.quantisation(),
            stored.adapter(architecture),
            stored == Stored.MERGED ? List.of("model.visual.") : null));
  }

  /** How the tensors of a package are stored, and what they are made from. */
  enum Stored {
    /** BF16, copied. */
    COPIED(null, null),
    /** Matrices inside layers in fp8 blocks, copied. */
    SCALED(BLOCKS, Dtype.F32),
    /** Likewise, in blocks of another size, with scales of another dtype. */
    SMALL_BLOCKS(new Fp8Block(2, 3), Dtype.BF16),
    /** BF16 that was F32, but for routers. */
    CAST(null, null),
    /** BF16 that was in fp8 blocks, as SCALED is. */
    DEQUANTISED(BLOCKS, Dtype.F32),
    /** BF16 that was arranged otherwise. */
    FUSED(null, null),
    /** Likewise, but the source has a row that no leaf is made of. */
    FUSED_IN_PART(null, null),
    /** Experts in mxfp4, rows of gate and up alternating in the source. */
    MXFP4(new Mxfp4(), Dtype.U8),
    /** BF16 that was stored as MXFP4 is. */
    MXFP4_DEQUANTISED(new Mxfp4(), Dtype.U8),
    /** Matrices inside layers in fp8 with a scale for each row, copied. */
    ROWS(new Fp8Channel(), Dtype.BF16),
    /** BF16 that was stored as ROWS is. */
    ROWS_DEQUANTISED(new Fp8Channel(), Dtype.F16),
    /** Experts in int4 groups, copied. */
    GROUPS(new Int4Group(12), Dtype.BF16),
    /** BF16 that was stored as GROUPS is. */
    GROUPS_DEQUANTISED(new Int4Group(5), Dtype.F32),
    /** Experts in int8 that were BF16. */
    INT8(null, null, new Int8Channel()),
    /** Experts in int4 that were in fp8 blocks. */
    INT4(BLOCKS, Dtype.F32, new Int4Block(16)),
    /** BF16, an adapter merged into queries, routers and experts. */
    MERGED(null, null),
    /** BF16 that was F32, an adapter merged into the same; routers are F32. */
    MERGED_CAST(null, null),
    /** As INT4, an adapter merged into experts before they were quantised. */
    MERGED_INT4(BLOCKS, Dtype.F32, new Int4Block(16));

    private static final Set<Role> MERGED_INTO =
        Set.of(Role.ATTENTION_QUERY, Role.ROUTER, Role.EXPERT_GATE_UP, Role.EXPERT_DOWN);

    private final @Nullable BlockScaled encoding;
    private final @Nullable Dtype scales;
    private final @Nullable Quantised to;

    Stored(@Nullable BlockScaled encoding, @Nullable Dtype scales) {
      this(encoding, scales, null);
    }

    Stored(@Nullable BlockScaled encoding, @Nullable Dtype scales, @Nullable Quantised to) {
      this.encoding = encoding;
      this.scales = scales;
      this.to = to;
    }

    static Stored of(Architecture architecture) {
      return architecture.equals(LATENT) ? SCALED : COPIED;
    }

    /** The encoding of the source of such a tensor; null if it is plain. */
    private @Nullable BlockScaled encoding(TensorSpec spec) {
      boolean quantised =
          encoding instanceof Mxfp4 || encoding instanceof Int4Group || to != null
              ? spec.stack() != null
              : spec.layer() != null
                  && spec.shape().rank() > 1
                  && spec.role() != Role.ROUTER
                  && !spec.role().id().startsWith("prediction");
      return quantised ? encoding : null;
    }

    private boolean isFused() {
      return this == FUSED || this == FUSED_IN_PART;
    }

    private boolean decoded() {
      return this == DEQUANTISED
          || this == MXFP4_DEQUANTISED
          || this == ROWS_DEQUANTISED
          || this == GROUPS_DEQUANTISED;
    }

    private boolean cast(TensorSpec spec) {
      return isCast() && !spec.role().keepsItsDtype();
    }

    private boolean isCast() {
      return this == CAST || this == MERGED_CAST;
    }

    private boolean merged(TensorSpec spec) {
      return (this == MERGED || this == MERGED_CAST) && MERGED_INTO.contains(spec.role());
    }

    /** What the manifest says of an adapter. */
    Manifest.@Nullable Adapter adapter(Architecture architecture) {
      long matrices =
          Tensors.of(architecture).stream()
              .filter(spec -> this == MERGED_INT4 ? spec.stack() != null : merged(spec))
              .mapToLong(spec -> spec.leaves().size())
              .sum();
      return matrices == 0
          ? null
          : new Manifest.Adapter(
              List.of(
                  new Manifest.OtherFile("adapter_config.json", 3, "a".repeat(64)),
                  new Manifest.OtherFile("adapter_model.safetensors", 4, "b".repeat(64))),
              List.of(
                  new Manifest.Update(2, 0.5, 1),
                  new Manifest.Update(2, 8, Math.toIntExact(matrices - 1))));
    }

    List<ShardLayout.Item> items(TensorSpec spec) {
      BlockScaled own = to == null || spec.stack() == null ? encoding(spec) : to;
      if (own == to && to != null) {
        return List.of(
            new ShardLayout.Item(to.stored(spec), to.dtype(), to),
            new ShardLayout.Item(to.scales(spec), to.writtenScales()));
      }
      if (own != null && !decoded()) {
        return List.of(
            new ShardLayout.Item(own.stored(spec), own.dtype(), own),
            new ShardLayout.Item(own.scales(spec), Objects.requireNonNull(scales)));
      }
      boolean kept = isCast() && !cast(spec);
      Dtype weights = kept ? Dtype.F32 : Dtype.BF16;
      return List.of(
          new ShardLayout.Item(spec, spec.role() == Role.ROUTER_TABLE ? Dtype.I64 : weights));
    }

    String transform(TensorSpec spec) {
      if (to != null && spec.stack() != null) {
        String read = encoding == null ? null : IndexRow.dequantise(encoding);
        return IndexRow.quantise(this == MERGED_INT4 ? IndexRow.merge(encoding) : read, to);
      }
      if (merged(spec)) {
        return IndexRow.merge(null);
      }
      BlockScaled own = encoding(spec);
      if (cast(spec)) {
        return IndexRow.CAST;
      }
      return decoded() && own != null ? IndexRow.dequantise(own) : IndexRow.COPY;
    }

    /** The name of the source tensor. */
    String source(TensorSpec.Leaf leaf) {
      TensorSpec spec = leaf.tensor();
      if (to != null) {
        return TinyPackage.source(leaf).replace(".scale", ".weight");
      }
      if (spec.stack() != null && encoding instanceof Mxfp4) {
        String stem = spec.name().substring(0, spec.name().lastIndexOf('.'));
        return stem + (spec.role() == Role.SCALE ? "_scales" : "_blocks");
      }
      if (isFused() && JOINED.contains(spec.role())) {
        return "layers.%d.attention.qkv.weight".formatted(spec.layer());
      }
      if (isFused() && spec.stack() != null) {
        return spec.name();
      }
      BlockScaled own = encoding(spec);
      String name = TinyPackage.source(leaf);
      return own == null ? name : own.valuesFor(name);
    }

    /** What of the source tensor a leaf is; null if it is all. */
    @Nullable View view(TensorSpec.Leaf leaf) {
      TensorSpec spec = leaf.tensor();
      TensorSpec.Stack stack = spec.stack();
      if (stack != null && encoding instanceof Mxfp4) {
        return rowsAlternating(leaf, stack);
      }
      if (!isFused()) {
        return null;
      }
      if (stack != null) {
        return transposed(leaf, stack);
      }
      return JOINED.contains(spec.role())
          ? View.run(before(spec.role()), spec.shape().elements())
          : null;
    }

    /** Elements of the joined matrix before those of a role: queries of 4 rows, then 2 and 2. */
    private static long before(Role role) {
      return switch (role) {
        case ATTENTION_QUERY -> 0;
        case ATTENTION_KEY -> 4 * 4;
        default -> 6 * 4;
      };
    }

    private View rowsAlternating(TensorSpec.Leaf leaf, TensorSpec.Stack stack) {
      BlockScaled own = Objects.requireNonNull(encoding);
      Shape matrix = leaf.shape();
      // Of a decoded leaf the source has the stored values.
      Shape seen = decoded() ? own.stored(matrix) : matrix;
      long rows = seen.dim(0);
      long columns = seen.dim(1);
      long count = stack.projections().size();
      long expert = Objects.requireNonNull(leaf.expert());
      long projection = stack.projections().indexOf(leaf.projection());
      return View.of(
          (expert * rows * count + projection) * columns,
          List.of(rows, columns),
          List.of(count * columns, 1L));
    }

    /** Columns of gate and up alternate. */
    private static View transposed(TensorSpec.Leaf leaf, TensorSpec.Stack stack) {
      long rows = leaf.shape().dim(0);
      long columns = leaf.shape().dim(1);
      long count = stack.projections().size();
      long expert = Objects.requireNonNull(leaf.expert());
      long projection = stack.projections().indexOf(leaf.projection());
      return View.of(
          expert * rows * count * columns + projection,
          List.of(rows, columns),
          List.of(count, count * rows));
    }

    List<TensorDeclaration> sources(TensorSpec spec, TensorSpec.Leaf leaf, Dtype stored) {
      BlockScaled own = encoding(spec);
      if (to != null && spec.stack() != null) {
        return spec.role() == Role.SCALE ? List.of() : quantised(to.matrices(leaf.shape()), leaf);
      }
      if (decoded() && own != null) {
        String values = source(leaf);
        Shape shape = own.stored(leaf.shape());
        Shape grid = own.grid(leaf.shape());
        if (spec.stack() == null || !(own instanceof Mxfp4)) {
          return List.of(
              new TensorDeclaration(values, own.dtype(), shape),
              new TensorDeclaration(
                  own.scalesInCheckpoints(values).orElseThrow(),
                  Objects.requireNonNull(scales),
                  grid));
        }
        long leaves = spec.leaves().size();
        return leaf.position() > 0
            ? List.of()
            : List.of(
                new TensorDeclaration(
                    values, own.dtype(), Shape.of(leaves * shape.dim(0), shape.dim(1) / 16, 16)),
                new TensorDeclaration(
                    own.scalesInCheckpoints(values).orElseThrow(),
                    Objects.requireNonNull(scales),
                    Shape.of(leaves * grid.dim(0), grid.dim(1))));
      }
      Dtype dtype = cast(spec) ? Dtype.F32 : stored;
      if (view(leaf) == null) {
        return List.of(new TensorDeclaration(source(leaf), dtype, leaf.shape()));
      }
      if (spec.stack() == null) {
        return spec.role() == Role.ATTENTION_QUERY
            ? List.of(
                new TensorDeclaration(source(leaf), dtype, Shape.of(this == FUSED ? 8 : 9, 4)))
            : List.of();
      }
      return leaf.position() > 0
          ? List.of()
          : List.of(new TensorDeclaration(source(leaf), dtype, spec.shape()));
    }

    private List<TensorDeclaration> quantised(Shape matrix, TensorSpec.Leaf leaf) {
      String name = source(leaf);
      return encoding == null
          ? List.of(new TensorDeclaration(name, Dtype.BF16, matrix))
          : List.of(
              new TensorDeclaration(name, encoding.dtype(), encoding.stored(matrix)),
              new TensorDeclaration(
                  encoding.scalesInCheckpoints(name).orElseThrow(),
                  Objects.requireNonNull(scales),
                  encoding.grid(matrix)));
    }

    Manifest.@Nullable Quantisation quantisation() {
      return to == null
          ? null
          : new Manifest.Quantisation(to.id(), Manifest.Matrices.EXPERTS, Quantiser.Method.NEAREST);
    }

    Manifest.@Nullable Cast cast() {
      return isCast() || decoded()
          ? new Manifest.Cast(Dtype.BF16, Manifest.Rounding.NEAREST_EVEN)
          : null;
    }
  }

  /** Whose rows are one below the other in a fused source. */
  private static final Set<Role> JOINED =
      EnumSet.of(Role.ATTENTION_QUERY, Role.ATTENTION_KEY, Role.ATTENTION_VALUE);

  static List<ShardLayout.Item> items(Architecture architecture, Stored stored) {
    return Tensors.of(architecture).stream().flatMap(spec -> stored.items(spec).stream()).toList();
  }

  static List<ShardLayout> layouts(Architecture architecture, Manifest.Layout layout) {
    return PackageLayout.of(items(architecture, Stored.of(architecture)), layout);
  }

  static final String SOURCE = "model.safetensors";

  /** The header of the one weight file that everything comes from. */
  private static SafetensorsHeader sourceHeader(List<ShardLayout> shards, Stored stored) {
    List<TensorDeclaration> tensors = new ArrayList<>();
    for (ShardLayout shard : shards) {
      for (ShardLayout.Placed placed : shard.tensors()) {
        if (placed.spec().role() != Role.PADDING) {
          for (TensorSpec.Leaf leaf : placed.spec().leaves()) {
            tensors.addAll(stored.sources(placed.spec(), leaf, placed.dtype()));
          }
        }
      }
    }
    return SafetensorsHeader.layOut(Map.of("format", "pt"), tensors);
  }

  /** What is opaque is named after its source. */
  private static String source(TensorSpec.Leaf leaf) {
    String prefix = TensorSpec.opaque(SOURCE, "", leaf.shape()).name();
    return leaf.source().startsWith(prefix)
        ? leaf.source().substring(prefix.length())
        : leaf.source();
  }

  /** Every leaf comes from a tensor of its own name. */
  static List<PackageWriter.Origin> origins(ShardLayout layout) {
    return origins(layout, Stored.COPIED);
  }

  private static List<PackageWriter.Origin> origins(ShardLayout layout, Stored stored) {
    return layout.tensors().stream()
        .map(ShardLayout.Placed::spec)
        .filter(spec -> spec.role() != Role.PADDING)
        .flatMap(
            spec ->
                spec.leaves().stream()
                    .map(
                        leaf ->
                            new PackageWriter.Origin(
                                SOURCE,
                                stored.source(leaf),
                                stored.view(leaf),
                                stored.transform(spec),
                                null)))
        .toList();
  }

  /** A counter that starts at a value derived from the leaf's name. */
  static PackageWriter.LeafBytes bytes(TensorSpec.Leaf leaf) {
    boolean ids = leaf.tensor().role() == Role.ROUTER_TABLE;
    int[] next = {ids ? 0 : leaf.source().hashCode()};
    return into -> {
      while (ids && into.hasRemaining()) {
        // Of four experts, in numbers of eight bytes.
        int at = next[0]++;
        into.put((byte) (at % Long.BYTES == 0 ? at / Long.BYTES % 4 : 0));
      }
      while (into.hasRemaining()) {
        into.put((byte) next[0]++);
      }
    };
  }
}
