package dev.moxie.runtime.execution;

import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.SessionOptions;
import dev.moxie.runtime.ort.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/** Memory on which a session computes, in the order in which it is told to. */
sealed interface Memory extends AutoCloseable permits HostMemory, CardMemory {
  /**
   * Zeros, until an arena is closed. They may lie on a card: segments of it are cut, and given to
   * {@link #write}, {@link #read} and {@link #tensor}, nothing else.
   */
  MemorySegment allocate(Arena arena, long bytes);

  /** Bytes that are written at once at most. */
  long piece();

  /**
   * Writes up to a {@link #piece} there.
   *
   * @param maker is given room for it in the process's own memory, and fills that
   */
  void write(MemorySegment to, Consumer<MemorySegment> maker);

  /** Copies there from any segment, which may change afterwards. */
  void write(MemorySegment to, MemorySegment from);

  /** Copies from there, once what was to be computed is. */
  void read(MemorySegment to, MemorySegment from);

  /** A tensor over some of it. */
  Tensor tensor(MemorySegment data, ElementType type, long... shape);

  /** Lets a session compute on it. */
  void addTo(SessionOptions options);

  @Override
  void close();
}
