package dev.moxie.runtime.ort;

import java.lang.foreign.MemorySegment;

/** A tensor over memory of the caller's. */
public final class Tensor extends Handle {
  /** Held, since it is freed when nothing does. */
  private final MemorySegment data;

  Tensor(Library library, MemorySegment address, MemorySegment data) {
    super(library, Release.VALUE, address);
    this.data = data;
  }

  /** The memory. */
  public MemorySegment data() {
    return data;
  }
}
