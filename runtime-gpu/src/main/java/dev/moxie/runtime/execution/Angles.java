package dev.moxie.runtime.execution;

import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.Tensor;
import dev.moxie.runtime.plain.RotaryAngles;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** Cosines and sines of every position, which are computed once, before they are first needed. */
final class Angles {
  /** Positions that are computed together at least. */
  private static final int TOGETHER = 64;

  private final Memory memory;
  private final List<Table> tables;
  private final int capacity;
  private int computed;

  /** Those of one way to turn, [capacity, pairs] each. */
  private record Table(RotaryAngles angles, MemorySegment cos, MemorySegment sin) {}

  /**
   * Room for them.
   *
   * @param rotaries every way in which layers turn queries and keys
   */
  Angles(Memory memory, Arena arena, List<RotaryAngles> rotaries, int capacity) {
    this.memory = memory;
    this.capacity = capacity;
    tables =
        rotaries.stream()
            .map(
                rotary -> {
                  long bytes = FloatTensors.size(Float.BYTES, capacity, rotary.pairs());
                  return new Table(
                      rotary, memory.allocate(arena, bytes), memory.allocate(arena, bytes));
                })
            .toList();
  }

  /** Binds those of some tokens. */
  void bind(Binding binding, int first, int tokens) {
    if (computed < first + tokens) {
      compute(Math.min(capacity, Math.max(first + tokens, computed + TOGETHER)));
    }
    for (int r = 0; r < tables.size(); r++) {
      Table table = tables.get(r);
      bind(binding, Lowering.cos(r), table.cos, first, tokens, table.angles.pairs());
      bind(binding, Lowering.sin(r), table.sin, first, tokens, table.angles.pairs());
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
      int pairs = table.angles.pairs();
      float[] cos = new float[(until - computed) * pairs];
      float[] sin = new float[cos.length];
      for (int i = 0; i < cos.length; i++) {
        cos[i] = table.angles.cos(computed + i / pairs, i % pairs);
        sin[i] = table.angles.sin(computed + i / pairs, i % pairs);
      }
      long from = (long) computed * pairs * Float.BYTES;
      memory.write(table.cos.asSlice(from), MemorySegment.ofArray(cos));
      memory.write(table.sin.asSlice(from), MemorySegment.ofArray(sin));
    }
    computed = until;
  }
}
