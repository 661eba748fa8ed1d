package dev.moxie.runtime.kernels;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.encoding.Fp8Channel;
import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.encoding.Int4Group;
import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.encoding.Int8Group;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.encoding.Plain;
import dev.moxie.format.encoding.Scales;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.runtime.plain.StoredMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The weights of a package in a machine's memory: each is brought there, its checksum compared,
 * when a forward pass first names it. Matrices are as they are stored, vectors and the scales of
 * blocks are widened to float32.
 */
final class DeviceWeights implements AutoCloseable {
  private final MoxiePackage pack;
  private final @Nullable Machine machine;
  private final boolean permuted;
  private final Arena arena = Arena.ofShared();
  private final Map<String, Stored> matrices = new HashMap<>();
  private final Map<String, Long> vectors = new HashMap<>();

  /**
   * None yet.
   *
   * @param machine null to know what they would be, without bringing any
   * @param permuted whether experts, and what belongs to each, are in another order ({@link
   *     ExpertOrder})
   */
  DeviceWeights(MoxiePackage pack, @Nullable Machine machine, boolean permuted) {
    this.pack = pack;
    this.permuted = permuted;
    this.machine = machine;
  }

  /** A matrix. */
  Stored matrix(Leaf leaf) {
    return matrix(leaf.tensor());
  }

  /** A matrix, or the projections of all experts one after the other. */
  Stored matrix(TensorSpec tensor) {
    // No computeIfAbsent: what is brought may fail halfway.
    Stored found = matrices.get(tensor.name());
    if (found == null) {
      found = bring(tensor);
      matrices.put(tensor.name(), found);
    }
    return found;
  }

  /** Address of a vector. */
  long vector(Leaf leaf) {
    return vector(leaf.tensor());
  }

  /** Address of a vector, or of all experts' one after the other. */
  long vector(TensorSpec tensor) {
    Long found = vectors.get(tensor.name());
    if (found == null) {
      found = machine == null ? fake() : floats(tensor, machine);
      vectors.put(tensor.name(), found);
    }
    return found;
  }

  private long floats(TensorSpec tensor, Machine to) {
    List<IndexRow> rows = rows(tensor);
    MemorySegment place = to.allocate(arena, tensor.shape().elements() * Float.BYTES);
    long at = 0;
    for (IndexRow row : rows) {
      StoredMatrix vector = StoredMatrix.of(pack, row);
      float[] values = new float[vector.columns()];
      vector.read(0, values, 0);
      int[] order = orderWithin(tensor);
      if (order != null) {
        float[] first = values.clone();
        for (int i = 0; i < order.length; i++) {
          values[i] = first[order[i]];
        }
      }
      MemorySegment bytes = MemorySegment.ofArray(values);
      to.write(place.asSlice(at, bytes.byteSize()), bytes);
      at += bytes.byteSize();
    }
    return place.address();
  }

  private List<IndexRow> rows(TensorSpec tensor) {
    return tensor.stack() == null
        ? List.of(pack.tensor(tensor.name()))
        : tensor.leaves().stream()
            .map(
                leaf ->
                    pack.slice(
                        tensor.name(),
                        placed(tensor, Objects.requireNonNull(leaf.expert())),
                        Objects.requireNonNull(leaf.projection())))
            .toList();
  }

  /** The expert that takes a place. */
  private int placed(TensorSpec tensor, int place) {
    int[] order = order(tensor);
    return order == null ? place : order[place];
  }

  /** Which expert takes each place of a layer; null where all are in their own. */
  private int @Nullable [] order(TensorSpec tensor) {
    Integer layer = tensor.layer();
    return permuted
            && layer != null
            && pack.architecture().layers().get(layer).feedForward()
                instanceof FeedForward.MixtureOfExperts m
        ? ExpertOrder.of(layer, m)
        : null;
  }

  /** The order of a router's rows, or of its biases. */
  private int @Nullable [] orderWithin(TensorSpec tensor) {
    return tensor.role() == Role.ROUTER || tensor.role() == Role.ROUTER_BIAS ? order(tensor) : null;
  }

  private Stored bring(TensorSpec tensor) {
    List<IndexRow> rows = rows(tensor);
    IndexRow first = rows.getFirst();
    Stored.Encoding encoding = encoding(first);
    Shape shape = MoxiePackage.matrix(first);
    int columns = Math.toIntExact(shape.dim(shape.rank() - 1));
    int matrixRows = Math.toIntExact(shape.elements() / columns);
    int blockRows = 1;
    int blockColumns = columns;
    if (first.encoding() instanceof BlockScaled blocks) {
      blockRows = blocks.blockRows();
      boolean channel = blocks.blockColumns() == Integer.MAX_VALUE;
      blockColumns = channel ? columns : blocks.blockColumns();
    }
    for (IndexRow row : rows) {
      if (!row.encoding().equals(first.encoding()) || row.dtype() != first.dtype()) {
        throw new UnsupportedException(
            row.describe(),
            "all experts of a layer in one encoding, "
                + first.encoding().id()
                + " "
                + first.dtype(),
            row.encoding().id() + " " + row.dtype(),
            "use --execution plain or fused");
      }
    }
    long weights = fake();
    long scales = fake();
    if (machine != null) {
      rows.parallelStream().forEach(row -> requireIntact(row, encoding));
      int[] order = orderWithin(tensor);
      weights = order == null ? copied(rows, machine) : copied(first, order, machine);
      scales = first.encoding() instanceof BlockScaled ? scales(rows, encoding, machine) : 0;
    }
    return new Stored(
        tensor.name(), weights, scales, encoding, matrixRows, columns, blockRows, blockColumns);
  }

  private long fake() {
    return Room.FAKE * -(1L + matrices.size() + vectors.size());
  }

  private static Stored.Encoding encoding(IndexRow row) {
    return switch (row.encoding()) {
      case Plain plain ->
          switch (row.dtype()) {
            case F32 -> Stored.Encoding.F32;
            case BF16 -> Stored.Encoding.BF16;
            case F16 -> Stored.Encoding.F16;
            default ->
                throw new UnsupportedException(
                    row.describe(),
                    "weights of F32, BF16 or F16",
                    row.dtype().toString(),
                    "this build does not compute with those");
          };
      case Fp8Block fp8 -> Stored.Encoding.FP8;
      case Fp8Channel fp8 -> Stored.Encoding.FP8;
      case Int8Channel int8 -> Stored.Encoding.INT8;
      case Int8Group int8 ->
          throw new UnsupportedException(
              row.describe(),
              "weights in an encoding that kernels read",
              int8.id(),
              "use --device cpu");
      case Int4Block int4 -> Stored.Encoding.INT4;
      case Int4Group int4 -> Stored.Encoding.INT4;
      case Mxfp4 mxfp4 -> Stored.Encoding.MXFP4;
    };
  }

  private void requireIntact(IndexRow row, Stored.Encoding encoding) {
    pack.requireIntact(row.shard(), row.offset(), row.bytes());
    pack.scales(row)
        .ifPresent(scales -> pack.requireIntact(scales.shard(), scales.offset(), scales.bytes()));
    if (encoding == Stored.Encoding.FP8) {
      requireNumbers(row);
    }
  }

  /** Kernels take the two codes that are no numbers for some. */
  private void requireNumbers(IndexRow row) {
    MemorySegment bytes = pack.bytes(row);
    for (long i = 0; i < bytes.byteSize(); i++) {
      if ((bytes.get(ValueLayout.JAVA_BYTE, i) & 0x7f) == 0x7f) {
        throw new UnsupportedException(
            pack.folder().resolve(row.shard()) + ", tensor " + row.describe() + " [" + i + "]",
            "numbers of e4m3",
            "one that is none",
            "use --execution plain");
      }
    }
  }

  private long copied(List<IndexRow> rows, Machine to) {
    long bytes = rows.stream().mapToLong(IndexRow::bytes).sum();
    MemorySegment place = to.allocate(arena, bytes);
    long at = 0;
    for (IndexRow row : rows) {
      to.write(place.asSlice(at, row.bytes()), pack.bytes(row));
      at += row.bytes();
    }
    return place.address();
  }

  /** A plain matrix's rows in another order. */
  private long copied(IndexRow row, int[] order, Machine to) {
    if (!(row.encoding() instanceof Plain)) {
      throw new UnsupportedException(
          row.describe(), "a router that is stored plainly", row.encoding().id(), "leave this out");
    }
    MemorySegment place = to.allocate(arena, row.bytes());
    long each = row.bytes() / order.length;
    for (int i = 0; i < order.length; i++) {
      to.write(place.asSlice(i * each, each), pack.bytes(row).asSlice(order[i] * each, each));
    }
    return place.address();
  }

  private long scales(List<IndexRow> rows, Stored.Encoding encoding, Machine to) {
    List<IndexRow> scales = rows.stream().map(row -> pack.scales(row).orElseThrow()).toList();
    if (encoding == Stored.Encoding.MXFP4) {
      return copied(scales, to);
    }
    long elements = scales.stream().mapToLong(row -> row.shape().elements()).sum();
    MemorySegment place = to.allocate(arena, elements * Float.BYTES);
    long at = 0;
    for (IndexRow row : scales) {
      float[] values = Scales.all(pack.bytes(row), row.dtype());
      MemorySegment bytes = MemorySegment.ofArray(values);
      to.write(place.asSlice(at, bytes.byteSize()), bytes);
      at += bytes.byteSize();
    }
    return place.address();
  }

  @Override
  public void close() {
    arena.close();
  }
}
