package dev.moxie.runtime.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** What kernels run on: memory of its own, and one queue of work. */
public interface Machine extends AutoCloseable {
  /** How many multiprocessors share the blocks of a launch. */
  int processors();

  /** Bytes of shared memory that a block may have. */
  int sharedMemory();

  /** Zeros in its memory, until an arena is closed: to be cut, written and read here alone. */
  MemorySegment allocate(Arena arena, long bytes);

  /** Copies there from any segment, which may change afterwards. */
  void write(MemorySegment to, MemorySegment from);

  /** Copies from there, once what was to be computed is. */
  void read(MemorySegment to, MemorySegment from);

  /** Runs launches, one after the other, sooner or later. */
  void run(List<Launch> launches);

  /** The same launches, to be run often. */
  Recorded record(List<Launch> launches);

  @Override
  void close();

  /** Launches that are run together. */
  interface Recorded extends AutoCloseable {
    void run();

    @Override
    void close();
  }
}
