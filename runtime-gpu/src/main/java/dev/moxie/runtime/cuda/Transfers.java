package dev.moxie.runtime.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/** What goes to a card and comes from it on a stream: through pinned memory, as it must. */
public final class Transfers implements AutoCloseable {
  /** Bytes that go there at once at most. */
  public static final long PIECE = 32L << 20;

  /** What the driver aligns its own memory to, and kernels may count on. */
  private static final long ALIGNMENT = 256;

  private final Context context;
  private final Stream stream;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment pinned;

  /** Bytes of it that copies to the card may still be reading. */
  private long taken;

  /** Transfers of a context, on one of its streams. */
  public Transfers(Context context, Stream stream) {
    this.context = context;
    this.stream = stream;
    pinned = context.allocatePinned(arena, 2 * PIECE);
  }

  /** Zeros on the card, until an arena is closed. */
  public MemorySegment allocate(Arena of, long bytes) {
    MemorySegment memory = context.allocate(of, bytes);
    stream.clear(memory);
    return memory;
  }

  /**
   * Writes up to a {@link #PIECE} to the card: while one is copied, the next is made.
   *
   * @param maker is given room for it in the process's own memory, and fills that
   */
  public void write(MemorySegment to, Consumer<MemorySegment> maker) {
    long bytes = to.byteSize();
    if (bytes > pinned.byteSize() - taken) {
      await();
    }
    MemorySegment room = pinned.asSlice(taken, bytes);
    maker.accept(room);
    stream.upload(to, room);
    taken = Math.ceilDiv(taken + bytes, ALIGNMENT) * ALIGNMENT;
  }

  /** Copies to the card from any segment, which may change afterwards. */
  public void write(MemorySegment to, MemorySegment from) {
    long bytes = from.byteSize();
    for (long done = 0; done < bytes; done += PIECE) {
      MemorySegment some = from.asSlice(done, Math.min(PIECE, bytes - done));
      write(to.asSlice(done, some.byteSize()), room -> room.copyFrom(some));
    }
  }

  /** Copies from the card, once what was to be computed is. */
  public void read(MemorySegment to, MemorySegment from) {
    await();
    for (long done = 0; done < from.byteSize(); done += PIECE) {
      long piece = Math.min(from.byteSize() - done, PIECE);
      MemorySegment room = pinned.asSlice(0, piece);
      stream.download(room, from.asSlice(done, piece));
      await();
      to.asSlice(done, piece).copyFrom(room);
    }
  }

  /** Waits until all is done. */
  public void await() {
    stream.await();
    taken = 0;
  }

  @Override
  public void close() {
    await();
    arena.close();
  }
}
