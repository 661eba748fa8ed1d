package dev.moxie.runtime.execution;

import dev.moxie.format.model.Architecture;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.MemoryInfo;
import dev.moxie.runtime.ort.RunOptions;
import dev.moxie.runtime.ort.Tensor;
import dev.moxie.runtime.plain.RotaryAngles;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * One sequence of a fused model. What it takes lies where the session computes, so that only new
 * tokens go there and only the logits that are wanted come back.
 */
final class FusedSequence implements AutoCloseable {
  private final Memory memory;
  private final Binding binding;
  private final RunOptions options = Engine.runOptions();
  private final Angles angles;
  private final int vocabulary;
  private final int capacity;
  private final Arena arena = Arena.ofShared();

  /** Room for new tokens, int64 [capacity]. */
  private final MemorySegment ids;

  /** 0, 1 and so on, int64 [capacity]: indices of new tokens whose logits are wanted. */
  private final MemorySegment rows;

  /** 0, 1 and so on, int32 [capacity]: positions. */
  private final MemorySegment positions;

  /** Tokens so far, int32 [], which operators read on the host. */
  private final MemorySegment total;

  private Arena ofLogits = Arena.ofShared();
  private MemorySegment logits = MemorySegment.NULL;

  /**
   * An empty sequence.
   *
   * @param rotaries every way in which layers turn queries and keys
   */
  FusedSequence(
      LoadedGraph loaded,
      Memory memory,
      Architecture architecture,
      Target target,
      List<RotaryAngles> rotaries,
      int capacity) {
    this.memory = memory;
    this.capacity = capacity;
    vocabulary = architecture.vocabSize();
    binding = loaded.binding();
    try {
      total = arena.allocate(ValueLayout.JAVA_INT);
      ids = memory.allocate(arena, FloatTensors.size(Long.BYTES, capacity));
      rows = memory.allocate(arena, ids.byteSize());
      positions = memory.allocate(arena, FloatTensors.size(Integer.BYTES, capacity));
      memory.write(rows, MemorySegment.ofArray(LongStream.range(0, capacity).toArray()));
      memory.write(positions, MemorySegment.ofArray(IntStream.range(0, capacity).toArray()));
      angles = new Angles(memory, arena, rotaries, loaded.inputs(), capacity);
      var layers = IntStream.range(0, architecture.layers().size());
      KeyValueCache.bind(binding, memory, arena, architecture, layers, target, capacity);
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  /** Tokens that it may have. */
  int capacity() {
    return capacity;
  }

  /**
   * Appends tokens.
   *
   * @param first position of the first
   * @param wanted of how many, the last ones, logits are
   * @return these, [wanted · V]
   */
  float[] append(long[] tokens, int first, int wanted) {
    int count = tokens.length;
    float[] result = new float[FloatTensors.elements(wanted, vocabulary)];
    makeRoom((long) result.length * Float.BYTES);
    memory.write(ids, MemorySegment.ofArray(tokens));
    bind("ids", ids, 0, ElementType.INT64, count);
    bind("rows", rows, count - wanted, ElementType.INT64, wanted);
    bind("last_position", positions, first + count - 1, ElementType.INT32, 1);
    angles.bind(binding, first, count);
    bindTotal(first + count);
    try (Tensor tensor = memory.tensor(logits, ElementType.FLOAT, wanted, vocabulary)) {
      binding.output("logits", tensor);
    }
    // Waits for the card: where operators left memory to be freed by the driver's thread, closing
    // the session after a run that does not wait ends the process.
    binding.run(options);
    memory.read(
        MemorySegment.ofArray(result), logits.asSlice(0, (long) result.length * Float.BYTES));
    return result;
  }

  private void bind(String name, MemorySegment all, int from, ElementType type, int count) {
    MemorySegment some = all.asSlice((long) from * type.bytes(), (long) count * type.bytes());
    try (Tensor tensor = memory.tensor(some, type, count)) {
      binding.input(name, tensor);
    }
  }

  /** Anew each time, since the session takes a copy where it needs one elsewhere. */
  private void bindTotal(int tokens) {
    total.set(ValueLayout.JAVA_INT, 0, tokens);
    try (Tensor tensor = Engine.memory(MemoryInfo.Kind.HOST).tensor(total, ElementType.INT32)) {
      binding.input("total_length", tensor);
    }
  }

  private void makeRoom(long bytes) {
    if (logits.byteSize() < bytes) {
      logits = MemorySegment.NULL;
      ofLogits.close();
      ofLogits = Arena.ofShared();
      logits = memory.allocate(ofLogits, bytes);
    }
  }

  @Override
  public void close() {
    binding.close();
    options.close();
    ofLogits.close();
    arena.close();
  }
}
