package dev.moxie.runtime.cuda;

import java.lang.foreign.MemorySegment;

/** A function that a card runs in many threads. */
public final class Kernel {
  private static final int MAX_DYNAMIC_SHARED_SIZE_BYTES = 8;
  private static final int PREFERRED_SHARED_MEMORY_CARVEOUT = 9;

  /** Of the first-level cache, in percent. */
  private static final int ALL = 100;

  private final Context context;
  private final String name;
  private final MemorySegment address;
  private int allowed;

  Kernel(Context context, String name, MemorySegment address) {
    this.context = context;
    this.name = name;
    this.address = address;
    // One division of the cache for all kernels, or none could start while another ends.
    set(PREFERRED_SHARED_MEMORY_CARVEOUT, ALL);
  }

  /** Lets it be given so much shared memory; never less than before, which a graph may count on. */
  void allow(int shared) {
    if (shared > allowed) {
      set(MAX_DYNAMIC_SHARED_SIZE_BYTES, shared);
      allowed = shared;
    }
  }

  private void set(int attribute, int value) {
    context.call("preparing " + name, Function.FUNC_SET_ATTRIBUTE, address, attribute, value);
  }

  String name() {
    return name;
  }

  MemorySegment address() {
    return address;
  }
}
