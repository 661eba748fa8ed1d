package dev.moxie.runtime.ort;

import java.lang.foreign.MemorySegment;

/** Something that the library handed out and that it wants back, once. */
abstract class Handle implements AutoCloseable {
  private final Library library;
  private final Release release;
  private MemorySegment address;

  Handle(Library library, Release release, MemorySegment address) {
    this.library = library;
    this.release = release;
    this.address = address;
  }

  final Library library() {
    return library;
  }

  final MemorySegment address() {
    if (address.equals(MemorySegment.NULL)) {
      throw new IllegalStateException(getClass().getSimpleName() + " was closed");
    }
    return address;
  }

  @Override
  public void close() {
    MemorySegment last = address;
    address = MemorySegment.NULL;
    if (!last.equals(MemorySegment.NULL)) {
      library.release(release, last);
    }
  }
}
