package dev.moxie.runtime.cuda;

import java.lang.foreign.MemorySegment;

/** What a card is to do, told once and done often. */
public final class Graph implements AutoCloseable {
  private final Context context;
  private final MemorySegment address;

  Graph(Context context, MemorySegment recorded) {
    this.context = context;
    try {
      address =
          context.make("preparing what was recorded", Function.GRAPH_INSTANTIATE, recorded, 0L);
    } finally {
      context.call("forgetting what was recorded", Function.GRAPH_DESTROY, recorded);
    }
  }

  /** The CUgraphExec. */
  MemorySegment address() {
    return address;
  }

  @Override
  public void close() {
    context.call("forgetting what was recorded", Function.GRAPH_EXEC_DESTROY, address);
  }
}
