package dev.moxie.runtime.plain;

import java.util.EnumMap;
import java.util.Map;

/**
 * Room that a thread, or an instruction, computes in; what it holds means nothing to the next turn,
 * or instruction.
 */
final class Scratch {
  /** Partial sums of one tile. */
  final float[] lanes = new float[Sums.ROWS * Sums.TOKENS * Lanes.COUNT];

  private final Map<Room, float[]> rooms = new EnumMap<>(Room.class);
  private long[] order = new long[0];

  /** What the room is for. */
  enum Room {
    /** Rows of a matrix, decoded. */
    PANEL,
    GATE,
    UP,
    SCORES,
    LATENT,
    ROW,
    /** What experts read, token after token. */
    READ,
    /** What their gate and up make of it. */
    INSIDE,
    /** x in the order of paired matrices. */
    PAIRS
  }

  /** So much of it at least. */
  float[] of(Room room, int size) {
    float[] had = rooms.get(room);
    if (had == null || had.length < size) {
      had = new float[size];
      rooms.put(room, had);
    }
    return had;
  }

  /** Room to sort so many numbers in. */
  long[] order(int size) {
    if (order.length < size) {
      order = new long[size];
    }
    return order;
  }
}
