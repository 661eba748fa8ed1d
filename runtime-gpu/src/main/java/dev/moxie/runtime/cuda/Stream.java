package dev.moxie.runtime.cuda;

import java.lang.foreign.MemorySegment;

/**
 * Work that a card does in the order in which it was given, later. What fails then is thrown by
 * whatever is called next.
 */
public final class Stream implements AutoCloseable {
  /** CU_STREAM_DEFAULT: waits for what the runtime's default stream was given before. */
  private static final int ORDERED = 0;

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
