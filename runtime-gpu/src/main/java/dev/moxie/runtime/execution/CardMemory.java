package dev.moxie.runtime.execution;

import dev.moxie.runtime.cuda.Context;
import dev.moxie.runtime.cuda.Driver;
import dev.moxie.runtime.cuda.Stream;
import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.MemoryInfo;
import dev.moxie.runtime.ort.SessionOptions;
import dev.moxie.runtime.ort.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/** A card's memory, and one stream on which all is done. Copies go through pinned memory. */
final class CardMemory implements Memory {
  private static final long PIECE = 32L << 20;

  /** What the driver aligns its own memory to, and kernels may count on. */
  private static final long ALIGNMENT = 256;

  private final Context context;
  private final Stream stream;
  private final MemoryInfo info;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment pinned;

  /** Bytes of it that copies to the card may still be reading. */
  private long taken;

  private CardMemory(Context context, Stream stream, MemoryInfo info) {
    this.context = context;
    this.stream = stream;
    this.info = info;
    pinned = context.allocatePinned(arena, 2 * PIECE);
  }

  static CardMemory open() {
    Context context = Driver.load().open();
    return new CardMemory(context, context.stream(), Engine.memory(MemoryInfo.Kind.CUDA));
  }

  @Override
  public MemorySegment allocate(Arena of, long bytes) {
    MemorySegment memory = context.allocate(of, bytes);
    stream.clear(memory);
    return memory;
  }

  @Override
  public long piece() {
    return PIECE;
  }

  /** While one piece is copied, the next is made. */
  @Override
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

  @Override
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

  private void await() {
    stream.await();
    taken = 0;
  }

  @Override
  public Tensor tensor(MemorySegment data, ElementType type, long... shape) {
    return info.tensor(data, type, shape);
  }

  @Override
  public void addTo(SessionOptions options) {
    Device.CUDA.addTo(options, stream.address());
  }

  @Override
  public void close() {
    await();
    info.close();
    arena.close();
    stream.close();
    context.close();
  }
}
