package dev.moxie.runtime.execution;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.Tensor;
import dev.moxie.runtime.plain.StoredMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Matrices that a graph takes as inputs ({@link Lowering}), brought from where they are mapped into
 * the memory that computes, and on the way into the form in which it does: no other copy is made.
 */
final class BoundWeights implements AutoCloseable {
  /** The bits of a number of float16, without its sign, that is none or infinite, at least. */
  private static final int NOT_FINITE = 0x7c00;

  /** What one thread writes at a time. */
  private static final int ROWS = 64;

  private final Memory memory;
  private final ElementType type;
  private final Arena arena = Arena.ofShared();
  private final Map<TensorSpec, MemorySegment> places = new LinkedHashMap<>();

  /**
   * Brings them there.
   *
   * @param inputs of the graph, by name
   * @param target that it was built for
   */
  BoundWeights(MoxiePackage pack, Set<String> inputs, Target target, Memory memory) {
    this.memory = memory;
    type = target.compute() == Dtype.F16 ? ElementType.FLOAT16 : ElementType.FLOAT;
    try {
      for (TensorSpec tensor : Tensors.ofForwardPass(pack.architecture())) {
        if (inputs.contains(tensor.name())) {
          places.put(tensor, bring(pack, tensor));
        }
      }
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  /** How much of the memory they take. */
  long bytes() {
    return places.values().stream().mapToLong(MemorySegment::byteSize).sum();
  }

  /** Binds them all. */
  void bind(Binding binding) {
    places.forEach(
        (tensor, place) -> {
          long[] shape = tensor.shape().dims().stream().mapToLong(Long::longValue).toArray();
          try (Tensor value = memory.tensor(place, type, shape)) {
            binding.input(tensor.name(), value);
          }
        });
  }

  private MemorySegment bring(MoxiePackage pack, TensorSpec tensor) {
    var rows = Rows.of(pack, tensor);
    long bytes = (long) rows.columns() * type.bytes();
    MemorySegment place = memory.allocate(arena, rows.count() * bytes);
    long together = Math.clamp(memory.piece() / bytes, 1, 1 << 20);
    for (long from = 0; from < rows.count(); from += together) {
      long first = from;
      long count = Math.min(together, rows.count() - from);
      memory.write(
          place.asSlice(from * bytes, count * bytes), room -> write(rows, first, count, room));
    }
    return place;
  }

  private void write(Rows rows, long first, long count, MemorySegment room) {
    long bytes = room.byteSize() / count;
    IntStream.range(0, Math.toIntExact(Math.ceilDiv(count, ROWS)))
        .parallel()
        .forEach(
            part -> {
              float[] numbers = new float[rows.columns()];
              float[] unordered = new float[rows.columns()];
              short[] halves = new short[numbers.length];
              long end = Math.min(count, (part + 1L) * ROWS);
              for (long i = (long) part * ROWS; i < end; i++) {
                rows.read(first + i, numbers, unordered);
                write(rows, numbers, halves, room.asSlice(i * bytes, bytes));
              }
            });
  }

  /**
   * The rows of a tensor, those of an expert's projections in turn.
   *
   * @param leaves of which it is made, in their order
   */
  private record Rows(TensorSpec tensor, List<StoredMatrix> leaves) {
    /** Checks all bytes, many at once. */
    static Rows of(MoxiePackage pack, TensorSpec tensor) {
      return new Rows(
          tensor,
          tensor.leaves().parallelStream()
              .map(leaf -> StoredMatrix.of(pack, pack.row(leaf)))
              .toList());
    }

    int columns() {
      return leaves.getFirst().columns();
    }

    long count() {
      return (long) leaves.size() * leaves.getFirst().rows();
    }

    void read(long row, float[] numbers, float[] room) {
      int projections = tensor.stack() == null ? 1 : tensor.stack().projections().size();
      long ofExpert = (long) projections * leaves.getFirst().rows();
      int expert = (int) (row / ofExpert);
      int within = (int) (row % ofExpert);
      leaves
          .get(expert * projections + within % projections)
          .readInOrder(within / projections, numbers, 0, room);
    }
  }

  private void write(Rows rows, float[] numbers, short[] halves, MemorySegment to) {
    if (type == ElementType.FLOAT) {
      MemorySegment.copy(numbers, 0, to, ValueLayout.JAVA_FLOAT, 0, numbers.length);
    } else {
      round(rows.tensor().name(), numbers, halves);
      MemorySegment.copy(halves, 0, to, ValueLayout.JAVA_SHORT, 0, halves.length);
    }
  }

  /**
   * Rounds numbers to float16.
   *
   * @param name whose they are, for messages
   * @throws UnsupportedException if one is none there
   */
  static void round(String name, float[] numbers, short[] halves) {
    for (int i = 0; i < halves.length; i++) {
      halves[i] = Float.floatToFloat16(numbers[i]);
    }
    int largest = 0;
    for (short half : halves) {
      largest = Math.max(largest, half & 0x7fff);
    }
    if (largest >= NOT_FINITE) {
      throw new UnsupportedException(
          name,
          "weights that float16 holds, up to 65504",
          "one that it does not",
          "use --device cpu, which computes in float32");
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
