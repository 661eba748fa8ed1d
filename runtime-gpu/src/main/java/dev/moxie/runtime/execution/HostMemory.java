package dev.moxie.runtime.execution;

import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.MemoryInfo;
import dev.moxie.runtime.ort.SessionOptions;
import dev.moxie.runtime.ort.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/** The process's own memory. */
final class HostMemory implements Memory {
  /** Of a cache line. */
  private static final long ALIGNMENT = 64;

  @Override
  public MemorySegment allocate(Arena arena, long bytes) {
    return arena.allocate(bytes, ALIGNMENT);
  }

  @Override
  public long piece() {
    return Long.MAX_VALUE;
  }

  @Override
  public void write(MemorySegment to, Consumer<MemorySegment> maker) {
    maker.accept(to);
  }

  @Override
  public void write(MemorySegment to, MemorySegment from) {
    to.asSlice(0, from.byteSize()).copyFrom(from);
  }

  @Override
  public void read(MemorySegment to, MemorySegment from) {
    to.copyFrom(from);
  }

  @Override
  public Tensor tensor(MemorySegment data, ElementType type, long... shape) {
    return Engine.memory(MemoryInfo.Kind.HOST).tensor(data, type, shape);
  }

  @Override
  public void addTo(SessionOptions options) {}

  @Override
  public void close() {}
}
