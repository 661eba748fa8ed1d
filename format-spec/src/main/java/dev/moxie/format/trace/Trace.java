package dev.moxie.format.trace;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Recorded activations and routing of one forward pass over T tokens; TRACE.md in this module
 * describes the file. Matrices are row-major, one row per token.
 */
public final class Trace implements AutoCloseable {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** What an image's tokens are made of, [T − 1, P]. */
  public static final String PATCHES = "patches";

  private static final String PREDICTION = "prediction.";

  private final SafetensorsFile file;

  /** What follows from tensors of the file, and stands before these; empty is passed over. */
  private final Map<String, Optional<Tensor>> derived = new HashMap<>();

  private record Tensor(Dtype dtype, Shape shape, MemorySegment data) {
    /** The first rows. */
    Tensor first(long rows) {
      List<Long> dims = new ArrayList<>(shape.dims());
      long bytes = data.byteSize() / dims.set(0, rows) * rows;
      return new Tensor(dtype, new Shape(dims), data.asSlice(0, bytes));
    }
  }

  private Trace(SafetensorsFile file) {
    this.file = file;
  }

  /**
   * Opens a trace.
   *
   * @throws CorruptException if the file is no safetensors file, or has no tokens
   */
  public static Trace open(Path path) {
    var trace = new Trace(SafetensorsFile.open(path));
    try {
      if (trace.inputIds().length == 0) {
        throw new CorruptException(
            path.toString(),
            "at least one token in input_ids, or patch in patches",
            "none",
            "record the trace again");
      }
      return trace;
    } catch (RuntimeException e) {
      trace.close();
      throw e;
    }
  }

  /** Where the trace lies. */
  public Path path() {
    return file.path();
  }

  /** What the recorder said of itself. */
  public Map<String, String> metadata() {
    return file.header().metadata();
  }

  /**
   * The tokens of the forward pass, [T]; where there is an image instead, whose tokens have no ids,
   * a zero for each patch and one for the class.
   */
  public long[] inputIds() {
    if (!has(PATCHES) || has("input_ids")) {
      return longs("input_ids");
    }
    long patches = shape(PATCHES).rank() == 2 ? shape(PATCHES).dim(0) : 0;
    return patches == 0 ? new long[0] : new long[Math.toIntExact(patches + 1)];
  }

  /** The tokens of the decoder of a model with an encoder, which reads {@link #inputIds}. */
  public long[] decoderInputIds() {
    return longs("decoder_input_ids");
  }

  /** The greedy continuation, [N], if one was recorded. */
  public Optional<long[]> generatedIds() {
    return has("generated_ids") ? Optional.of(longs("generated_ids")) : Optional.empty();
  }

  /** Whether the trace holds a tensor of that name. */
  public boolean has(String name) {
    return find(name).isPresent();
  }

  /** Adds a float32 matrix that follows from others, in the place of one of that name. */
  public void derive(String name, int columns, float[] values) {
    Shape shape = Shape.of(values.length / columns, columns);
    derived.put(name, Optional.of(new Tensor(Dtype.F32, shape, MemorySegment.ofArray(values))));
  }

  /** Likewise of int32. */
  public void derive(String name, int columns, int[] values) {
    Shape shape = Shape.of(values.length / columns, columns);
    derived.put(name, Optional.of(new Tensor(Dtype.I32, shape, MemorySegment.ofArray(values))));
  }

  /**
   * Passes over all tokens but the first from now on, and over the continuation: nothing of a token
   * depends on those after it. What has one row per token has fewer, and so has what predicts
   * tokens that lie further ahead, and lacks rows at the end.
   */
  public void keepFirst(int tokens) {
    long over = (long) inputIds().length - tokens;
    if (over <= 0) {
      return;
    }
    Set<String> names = new HashSet<>(derived.keySet());
    file.header().tensors().forEach(info -> names.add(info.name()));
    long all = inputIds().length;
    for (String name : names) {
      find(name)
          .filter(tensor -> tensor.shape().rank() > 0 && tensor.shape().dim(0) > 0)
          .filter(tensor -> tensor.shape().dim(0) == all || name.startsWith(PREDICTION))
          .ifPresent(
              tensor -> {
                long kept = Math.max(0, tensor.shape().dim(0) - over);
                derived.put(name, Optional.of(tensor.first(kept)));
              });
    }
    leaveOut("generated_ids");
  }

  /** Passes over a tensor from now on. */
  public void leaveOut(String name) {
    derived.put(name, Optional.empty());
  }

  /**
   * Makes sure that the trace has a tensor, without reading it.
   *
   * @throws CorruptException if there is none of that name, dtype and shape
   */
  public void require(String name, Dtype dtype, Shape shape) {
    requireFit(name, get(name), dtype, shape);
  }

  private void requireFit(String name, Tensor tensor, Dtype dtype, Shape shape) {
    if (tensor.dtype() != dtype || !tensor.shape().equals(shape)) {
      throw new CorruptException(
          path() + ", tensor \"" + name + "\"",
          dtype + " " + shape,
          tensor.dtype() + " " + tensor.shape(),
          "record it from this model, stored as float32, as TRACE.md says");
    }
  }

  /** The shape that the trace gives a tensor, whatever it should be. */
  public Shape shape(String name) {
    return get(name).shape();
  }

  /**
   * A float32 matrix.
   *
   * @param rows the rows it must have
   * @param columns the columns it must have
   * @throws CorruptException if the trace has no such matrix, or holds NaN or infinity in it
   */
  public float[] floats(String name, int rows, int columns) {
    MemorySegment data = data(name, Dtype.F32, Shape.of(rows, columns));
    float[] values = data.toArray(FLOAT);
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        throw new CorruptException(
            path() + ", tensor \"" + name + "\" [" + i / columns + ", " + i % columns + "]",
            "a finite number",
            String.valueOf(values[i]),
            "record the trace again");
      }
    }
    return values;
  }

  /** An int32 matrix. */
  public int[] ints(String name, int rows, int columns) {
    return data(name, Dtype.I32, Shape.of(rows, columns)).toArray(INT);
  }

  private Optional<Tensor> find(String name) {
    return derived.containsKey(name)
        ? derived.get(name)
        : file.find(name).map(info -> new Tensor(info.dtype(), info.shape(), file.data(info)));
  }

  private Tensor get(String name) {
    return find(name)
        .orElseThrow(
            () ->
                new CorruptException(
                    path().toString(),
                    "tensor \"" + name + "\"",
                    "none of that name",
                    "record the trace as TRACE.md says"));
  }

  private long[] longs(String name) {
    Shape found = shape(name);
    Shape shape = Shape.of(found.rank() == 1 ? found.dim(0) : 0);
    return data(name, Dtype.I64, shape).toArray(LONG);
  }

  private MemorySegment data(String name, Dtype dtype, Shape shape) {
    Tensor tensor = get(name);
    requireFit(name, tensor, dtype, shape);
    return tensor.data();
  }

  @Override
  public void close() {
    file.close();
  }
}
