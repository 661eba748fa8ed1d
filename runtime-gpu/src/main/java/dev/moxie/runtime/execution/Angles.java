package dev.moxie.runtime.execution;

import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.Tensor;
import dev.moxie.runtime.plain.RotaryAngles;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/** Cosines and sines of every position, which are computed once, before they are first needed. */
final class Angles {
  /** Positions that are computed together at least. */
  private static final int TOGETHER = 64;

  private final Memory memory;
  private final List<Table> tables;
  private final int capacity;
  private int computed;

  /** Those of one way to turn, [capacity, pairs] each. */
  private record Table(int rotary, RotaryAngles angles, MemorySegment cos, MemorySegment sin) {}

  /**
   * Room for them.
   *
   * @param rotaries every way in which layers turn queries and keys
   * @param inputs of the graph, by name: it may turn in some of these ways alone
   */
  Angles(
      Memory memory, Arena arena, List<RotaryAngles> rotaries, Set<String> inputs, int capacity) {
    this.memory = memory;
    this.capacity = capacity;
    tables =
        IntStream.range(0, rotaries.size())
            .filter(r -> inputs.contains(Lowering.cos(r)))
            .mapToObj(
                r -> {
                  RotaryAngles rotary = rotaries.get(r);
                  long bytes = FloatTensors.size(Float.BYTES, capacity, rotary.pairs());
                  return new Table(
                      r, rotary, memory.allocate(arena, bytes), memory.allocate(arena, bytes));
                })
            .toList();
  }

  /** Binds those of some tokens. */
  void bind(Binding binding, int first, int tokens) {
    if (computed < first + tokens) {
      compute(Math.min(capacity, Math.max(first + tokens, computed + TOGETHER)));
    }
    for (Table table : tables) {
      bind(binding, Lowering.cos(table.rotary), table.cos, first, tokens, table.angles.pairs());
      bind(binding, Lowering.sin(table.rotary), table.sin, first, tokens, table.angles.pairs());
    }
  }

  private void bind(
      Binding binding, String name, MemorySegment table, int first, int tokens, int pairs) {
    long row = (long) pairs * Float.BYTES;
    MemorySegment rows = table.asSlice(first * row, tokens * row);
    try (Tensor tensor = memory.tensor(rows, ElementType.FLOAT, 1, tokens, pairs)) {
      binding.input(name, tensor);
    }
  }

  private void compute(int until) {
    for (Table table : tables) {
      float[] cos = table.angles.cosines(computed, until - computed);
      float[] sin = table.angles.sines(computed, until - computed);
      long from = (long) computed * table.angles.pairs() * Float.BYTES;
      memory.write(table.cos.asSlice(from), MemorySegment.ofArray(cos));
      memory.write(table.sin.asSlice(from), MemorySegment.ofArray(sin));
    }
    computed = until;
  }
}
