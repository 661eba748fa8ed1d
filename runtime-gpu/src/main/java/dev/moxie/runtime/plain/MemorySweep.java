package dev.moxie.runtime.plain;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Reads memory with the threads that compute, and does nothing else with it: none is faster. */
public final class MemorySweep {
  /** Bytes that a thread takes at a time. */
  private static final int TURN = 1 << 18;

  /** Stretches of them that are read side by side, each from end to end. */
  private static final int STRETCHES = 4;

  private final List<MemorySegment> chunks = new ArrayList<>();
  private final int[] sums;
  private final long bytes;

  /**
   * @param memory cut to whole vectors
   */
  public MemorySweep(List<MemorySegment> memory) {
    int unit = STRETCHES * Lanes.INTS.vectorByteSize();
    long sum = 0;
    for (MemorySegment segment : memory) {
      for (long from = 0; from < segment.byteSize(); from += TURN) {
        long size = Math.min(TURN, segment.byteSize() - from);
        chunks.add(segment.asSlice(from, size - size % unit));
        sum += size - size % unit;
      }
    }
    bytes = sum;
    sums = new int[chunks.size()];
  }

  /** Bytes that it reads. */
  public long bytes() {
    return bytes;
  }

  /** Threads that read, as many as compute. */
  public static int threads() {
    return Team.shared().threads();
  }

  /**
   * Reads all of it once.
   *
   * @return what proves it: all its 32-bit numbers, exclusive-ored
   */
  public int run() {
    Team.shared()
        .each(
            sums.length,
            TURN,
            (turn, scratch) -> sums[turn] = read(chunks.get(turn), chunks.get(turn).byteSize()));
    int all = 0;
    for (int sum : sums) {
      all ^= sum;
    }
    return all;
  }

  private static int read(MemorySegment chunk, long size) {
    long stretch = size / STRETCHES;
    int step = Lanes.INTS.vectorByteSize();
    IntVector a = IntVector.zero(Lanes.INTS);
    IntVector b = a;
    IntVector c = a;
    IntVector d = a;
    for (long i = 0; i < stretch; i += step) {
      a = a.lanewise(VectorOperators.XOR, vector(chunk, i));
      b = b.lanewise(VectorOperators.XOR, vector(chunk, i + stretch));
      c = c.lanewise(VectorOperators.XOR, vector(chunk, i + 2 * stretch));
      d = d.lanewise(VectorOperators.XOR, vector(chunk, i + 3 * stretch));
    }
    return a.lanewise(VectorOperators.XOR, b)
        .lanewise(VectorOperators.XOR, c.lanewise(VectorOperators.XOR, d))
        .reduceLanes(VectorOperators.XOR);
  }

  private static IntVector vector(MemorySegment chunk, long at) {
    return IntVector.fromMemorySegment(Lanes.INTS, chunk, at, Lanes.LITTLE);
  }
}
