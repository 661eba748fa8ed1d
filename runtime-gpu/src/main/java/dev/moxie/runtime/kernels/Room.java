package dev.moxie.runtime.kernels;

import dev.moxie.format.model.Rotary;
import dev.moxie.runtime.plain.RotaryAngles;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a sequence needs of a machine's memory beside weights, by name; each begins as zeros. */
final class Room implements AutoCloseable {
  /** Distance of addresses where nothing is. */
  static final long FAKE = 1L << 40;

  /** Positions whose angles are computed together. */
  private static final int TOGETHER = 4096;

  private final @Nullable Machine machine;
  private final int capacity;
  private final int most;
  private final long activations;
  private final Arena arena = Arena.ofShared();
  private final Map<String, MemorySegment> places = new HashMap<>();

  /**
   * Nothing yet.
   *
   * @param machine null for one of which no launch is run
   * @param capacity tokens of the sequence
   * @param most tokens that are computed together
   * @param activations bytes of room for what lasts no longer than a layer
   */
  Room(@Nullable Machine machine, int capacity, int most, long activations) {
    this.machine = machine;
    this.capacity = capacity;
    this.most = most;
    this.activations = activations;
  }

  int capacity() {
    return capacity;
  }

  int most() {
    return most;
  }

  /** A place, the same for the same name. */
  MemorySegment of(String name, long bytes) {
    MemorySegment place = places.get(name);
    if (place == null) {
      place =
          machine == null
              ? MemorySegment.ofAddress(FAKE * (places.size() + 1))
              : machine.allocate(arena, Math.max(bytes, 1));
      places.put(name, place);
    }
    return place;
  }

  long activations() {
    return of("activations", activations).address();
  }

  /** Of the tokens that are computed, int32 [most]. */
  long positions() {
    return of("positions", (long) most * Integer.BYTES).address();
  }

  /** Likewise. */
  long ids() {
    return of("ids", (long) most * Integer.BYTES).address();
  }

  /** Of every position: cosines, or sines, float32 [capacity, pairs]. */
  long turns(Rotary rotary, boolean sines) {
    String name = (sines ? "sines " : "cosines ") + rotary;
    if (machine == null || places.containsKey(name)) {
      return of(name, 0).address();
    }
    var angles = new RotaryAngles(rotary);
    long row = (long) angles.pairs() * Float.BYTES;
    MemorySegment place = of(name, capacity * row);
    for (int first = 0; first < capacity; first += TOGETHER) {
      int count = Math.min(TOGETHER, capacity - first);
      float[] values = sines ? angles.sines(first, count) : angles.cosines(first, count);
      machine.write(place.asSlice(first * row, count * row), MemorySegment.ofArray(values));
    }
    return place.address();
  }

  @Override
  public void close() {
    arena.close();
  }
}
