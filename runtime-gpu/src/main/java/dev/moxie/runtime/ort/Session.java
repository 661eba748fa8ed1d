package dev.moxie.runtime.ort;

import java.lang.foreign.MemorySegment;

/** A graph, ready to run. */
public final class Session extends Handle {
  Session(Library library, MemorySegment address) {
    super(library, Release.SESSION, address);
  }

  /** Inputs and outputs that are yet to be bound; to be closed before the session is. */
  public Binding binding() {
    return new Binding(this);
  }
}
