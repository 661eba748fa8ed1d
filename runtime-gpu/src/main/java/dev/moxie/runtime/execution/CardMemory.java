package dev.moxie.runtime.execution;

import dev.moxie.runtime.cuda.Context;
import dev.moxie.runtime.cuda.Driver;
import dev.moxie.runtime.cuda.Stream;
import dev.moxie.runtime.cuda.Transfers;
import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.MemoryInfo;
import dev.moxie.runtime.ort.SessionOptions;
import dev.moxie.runtime.ort.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/** A card's memory, and one stream on which all is done. */
final class CardMemory implements Memory {
  private final Context context;
  private final Stream stream;
  private final Transfers transfers;
  private final MemoryInfo info;

  private CardMemory(Context context, Stream stream, MemoryInfo info) {
    this.context = context;
    this.stream = stream;
    this.info = info;
    transfers = new Transfers(context, stream);
  }

  static CardMemory open() {
    Context context = Driver.load().open();
    return new CardMemory(context, context.stream(), Engine.memory(MemoryInfo.Kind.CUDA));
  }

  @Override
  public MemorySegment allocate(Arena arena, long bytes) {
    return transfers.allocate(arena, bytes);
  }

  @Override
  public long piece() {
    return Transfers.PIECE;
  }

  @Override
  public void write(MemorySegment to, Consumer<MemorySegment> maker) {
    transfers.write(to, maker);
  }

  @Override
  public void write(MemorySegment to, MemorySegment from) {
    transfers.write(to, from);
  }

  @Override
  public void read(MemorySegment to, MemorySegment from) {
    transfers.read(to, from);
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
    transfers.close();
    info.close();
    stream.close();
    context.close();
  }
}
