package dev.moxie.runtime.plain;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Limits;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Arrays for the activations of programs that run one after the other: two programs that make an
 * activation of the same width at the same step have one array for both.
 */
final class Places {
  /** Of what some JVMs allow. */
  private static final int LARGEST = Integer.MAX_VALUE - 8;

  private final Map<List<Integer>, Value> values = new HashMap<>();
  private final List<Value> all = new ArrayList<>();
  private float[][] arrays = new float[0][];
  private int room;

  /** Where a program has what it makes at a step. */
  Value of(int step, int columns) {
    return values.computeIfAbsent(
        List.of(step, columns),
        key -> {
          var value = new Value(all.size(), columns);
          all.add(value);
          return value;
        });
  }

  /**
   * Room for so many tokens.
   *
   * @throws UnsupportedException if one array cannot hold an activation of theirs
   */
  void reserve(int tokens) {
    if (tokens <= room && arrays.length == all.size()) {
      return;
    }
    room = Math.max(room, tokens);
    arrays = Arrays.copyOf(arrays, all.size());
    for (int i = 0; i < arrays.length; i++) {
      int size = Limits.elements("an activation", LARGEST, room, all.get(i).apart());
      if (arrays[i] == null || arrays[i].length < size) {
        arrays[i] = new float[size];
      }
    }
  }

  float[] array(Value value) {
    return arrays[value.place()];
  }
}
