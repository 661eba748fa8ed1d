package dev.moxie.runtime.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Work that a card does in the order in which it was given, later. What fails then is thrown by
 * whatever is called next.
 */
public final class Stream implements AutoCloseable {
  /** CU_STREAM_DEFAULT: waits for what the runtime's default stream was given before. */
  private static final int ORDERED = 0;

  /** CU_STREAM_CAPTURE_MODE_RELAXED: other threads may do what they like meanwhile. */
  private static final int RELAXED = 2;

  /** CUlaunchAttribute, of which one is used, and CUlaunchConfig. */
  private static final int PROGRAMMATIC_STREAM_SERIALIZATION = 6;

  private static final int ATTRIBUTE_BYTES = 72;
  private static final int CONFIG_BYTES = 56;

  private final Context context;
  private final MemorySegment address;

  Stream(Context context) {
    this.context = context;
    this.address = context.make("opening a stream", Function.STREAM_CREATE, ORDERED);
  }

  /** The CUstream. */
  public MemorySegment address() {
    return address;
  }

  /**
   * Copies to the card.
   *
   * @param host pinned memory, which stays as it is until {@link #await}
   */
  public void upload(MemorySegment card, MemorySegment host) {
    long bytes = host.byteSize();
    context.call(
        "copying to the card", Function.MEMCPY_HTOD_ASYNC, room(card, bytes), host, bytes, address);
  }

  /**
   * Copies from the card.
   *
   * @param host pinned memory, which has it after {@link #await}
   */
  public void download(MemorySegment host, MemorySegment card) {
    long bytes = card.byteSize();
    context.call(
        "copying from the card",
        Function.MEMCPY_DTOH_ASYNC,
        room(host, bytes),
        card,
        bytes,
        address);
  }

  /** Fills memory of the card with zeros. */
  public void clear(MemorySegment card) {
    context.call(
        "clearing memory of the card",
        Function.MEMSET_D8_ASYNC,
        card,
        (byte) 0,
        card.byteSize(),
        address);
  }

  /**
   * Runs a kernel, which may start while the one before it ends: it waits by itself for what it
   * reads.
   *
   * @param grid blocks along x, y and z
   * @param threads of a block
   * @param shared bytes that the kernel is given beside its own
   * @param parameters where the value of each lies; they may change afterwards
   */
  public void launch(
      Kernel kernel, int[] grid, int threads, int shared, List<MemorySegment> parameters) {
    kernel.allow(shared);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment attribute = arena.allocate(ATTRIBUTE_BYTES, Long.BYTES);
      attribute.set(JAVA_INT, 0, PROGRAMMATIC_STREAM_SERIALIZATION);
      attribute.set(JAVA_INT, Long.BYTES, 1);
      MemorySegment config = arena.allocate(CONFIG_BYTES, Long.BYTES);
      MemorySegment.copy(grid, 0, config, JAVA_INT, 0, 3);
      MemorySegment.copy(new int[] {threads, 1, 1, shared}, 0, config, JAVA_INT, 12, 4);
      config.set(ADDRESS, 32, address);
      config.set(ADDRESS, 40, attribute);
      config.set(JAVA_INT, 48, 1);
      MemorySegment values = arena.allocate(ADDRESS, parameters.size());
      for (int i = 0; i < parameters.size(); i++) {
        values.setAtIndex(ADDRESS, i, parameters.get(i));
      }
      context.call(
          "running " + kernel.name(),
          Function.LAUNCH_KERNEL_EX,
          config,
          kernel.address(),
          values,
          MemorySegment.NULL);
    }
  }

  /** What a task gives this stream to do, recorded instead of done. */
  public Graph record(Runnable task) {
    String doing = "recording what the card is to do";
    context.call(doing, Function.STREAM_BEGIN_CAPTURE, address, RELAXED);
    RuntimeException failure = null;
    try {
      task.run();
    } catch (RuntimeException e) {
      failure = e;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      if (failure != null) {
        // Ends the recording, whatever became of it.
        context.result(Function.STREAM_END_CAPTURE, address, out);
        throw failure;
      }
      context.call(doing, Function.STREAM_END_CAPTURE, address, out);
      return new Graph(context, out.get(ADDRESS, 0));
    }
  }

  /** Does what was recorded. */
  public void replay(Graph graph) {
    context.call("running what was recorded", Function.GRAPH_LAUNCH, graph.address(), address);
  }

  private static MemorySegment room(MemorySegment memory, long bytes) {
    return memory.asSlice(0, bytes);
  }

  /** Waits until all is done. */
  public void await() {
    context.call("waiting for the card", Function.STREAM_SYNCHRONIZE, address);
  }

  @Override
  public void close() {
    context.call("closing a stream", Function.STREAM_DESTROY, address);
  }
}
