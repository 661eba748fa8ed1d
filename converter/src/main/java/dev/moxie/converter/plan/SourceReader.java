package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.encoding.Casting;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.encoding.Scales;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.PackageWriter;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.view.Rearrangement;
import dev.moxie.format.view.View;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads tensors into the buffers from which they are written, transforming them on the way. Plain
 * reads, not mappings: a source that shrinks meanwhile is then an error and not a crash.
 */
final class SourceReader implements AutoCloseable {
  /** Whole elements of every dtype; small enough to stay in the cache. */
  private static final int SCRATCH_BYTES = 1 << 16;

  /**
   * How much is read at a time of what does not lie one after the other.
   *
   * @param region bytes of the largest region that is read as it lies, whatever is in it
   * @param block bytes of a leaf: enough that what is read for it from a larger region are long
   *     runs
   * @param run bytes of such a run
   */
  record Sizes(int region, int block, int run) {
    static final Sizes USUAL = new Sizes(32 << 20, 16 << 20, 1 << 20);
  }

  private final Path folder;
  private final Progress progress;
  private final Sizes sizes;
  private final Map<String, FileChannel> channels = new HashMap<>();
  private final FactorReader factors = new FactorReader();
  private @Nullable ByteBuffer scratch;
  private @Nullable Region region;
  private ByteBuffer regionBytes = ByteBuffer.allocate(0);
  private ByteBuffer runBytes = ByteBuffer.allocate(0);

  SourceReader(Path folder, Progress progress) {
    this(folder, progress, Sizes.USUAL);
  }

  SourceReader(Path folder, Progress progress, Sizes sizes) {
    this.sizes = sizes;
    this.folder = folder;
    this.progress = progress;
  }

  /** A chunk of elements to another. */
  private interface Kernel {
    /**
     * Appends what the chunk becomes.
     *
     * @param first index of the chunk's first value
     */
    void apply(ByteBuffer chunk, long first, ByteBuffer out);
  }

  /** The bytes that a piece becomes. */
  PackageWriter.LeafBytes open(ConversionPlan.Piece piece) throws IOException {
    return open(piece.place(), piece.transform());
  }

  private PackageWriter.LeafBytes open(Place place, Transform transform) throws IOException {
    Dtype from = place.tensor().dtype();
    PackageWriter.LeafBytes bytes = bytes(place);
    return switch (transform) {
      case Transform.Copy copy -> bytes;
      case Transform.Cast cast ->
          new Through(
              bytes,
              from.bits() / Byte.SIZE,
              cast.to().bits() / Byte.SIZE,
              (chunk, first, out) -> Casting.cast(chunk, from, out, cast.to()));
      case Transform.Dequantise to -> {
        float[] scales = scales(to.scales());
        int per = to.encoding().perValue();
        yield new Through(
            bytes,
            from.bits() / Byte.SIZE,
            per * to.to().bits() / Byte.SIZE,
            (chunk, first, out) ->
                Casting.decode(
                    to.encoding(), chunk, first * per, to.columns(), scales, out, to.to()));
      }
      case Transform.Merge merge ->
          new MergedBytes(
              where(place.tensor()), open(place, merge.read()), merge, rows(place, merge), factors);
      case Transform.Quantise quantise ->
          new InBlocks(place.tensor(), open(place, quantise.read()), quantise);
    };
  }

  private String where(SourceTensor tensor) {
    return folder.resolve(tensor.file()) + ", tensor " + tensor.name();
  }

  private static long rows(Place place, Transform.Merge merge) {
    int per = merge.decoding().map(decode -> decode.encoding().perValue()).orElse(1);
    return place.elements() * per / merge.columns();
  }

  /** The bytes of some elements, in the order in which they are seen. */
  private PackageWriter.LeafBytes bytes(Place place) throws IOException {
    SourceTensor tensor = place.tensor();
    View view = place.view();
    FileChannel channel = channel(tensor);
    long width = tensor.dtype().bits() / Byte.SIZE;
    if (view == null || view.isRun()) {
      long[] at = {view == null ? 0 : view.offset() * width};
      return into -> {
        int count = into.remaining();
        read(channel, tensor, at[0], into);
        at[0] += count;
        progress.advance(count);
      };
    }
    return new Gathered(tensor, channel, view, (int) width);
  }

  private float[] scales(Place place) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(place.bytes()));
    bytes(place).read(bytes);
    return Scales.all(MemorySegment.ofArray(bytes.array()), place.tensor().dtype());
  }

  private FileChannel channel(SourceTensor tensor) throws IOException {
    FileChannel open = channels.get(tensor.file());
    if (open == null) {
      open = FileChannel.open(folder.resolve(tensor.file()), StandardOpenOption.READ);
      channels.put(tensor.file(), open);
    }
    return open;
  }

  /** Fills the buffer with the bytes of a tensor from one on. */
  private void read(FileChannel channel, SourceTensor tensor, long at, ByteBuffer into)
      throws IOException {
    long next = tensor.offset() + at;
    while (into.hasRemaining()) {
      int count = read(channel, into, next, tensor.file());
      if (count < 0) {
        throw new EnvironmentException(
            where(tensor) + ", offset " + next,
            "more bytes",
            "the end of the file, which shrank while it was read",
            "restore the file and start over with --force");
      }
      next += count;
    }
  }

  /** A channel does not say which file it could not read. */
  private int read(FileChannel channel, ByteBuffer into, long offset, String file)
      throws IOException {
    try {
      return channel.read(into, offset);
    } catch (IOException e) {
      throw new FileSystemException(folder.resolve(file).toString(), null, e.getMessage());
    }
  }

  private ByteBuffer scratch() {
    ByteBuffer buffer = scratch;
    if (buffer == null) {
      buffer = direct(SCRATCH_BYTES);
      scratch = buffer;
    }
    return buffer.clear();
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Passes values through a kernel, which turns each into elements of another dtype. */
  private final class Through implements PackageWriter.LeafBytes {
    private final PackageWriter.LeafBytes values;
    private final int narrow;
    private final int wide;
    private final Kernel kernel;
    private final ByteBuffer rest;
    private long done;

    Through(PackageWriter.LeafBytes values, int narrow, int wide, Kernel kernel) {
      this.values = values;
      this.narrow = narrow;
      this.wide = wide;
      this.kernel = kernel;
      this.rest = ByteBuffer.allocate(wide).order(ByteOrder.LITTLE_ENDIAN).limit(0);
    }

    @Override
    public void read(ByteBuffer into) throws IOException {
      take(rest, into);
      while (into.remaining() >= wide) {
        pass(Math.min(into.remaining() / wide, SCRATCH_BYTES / narrow), into);
      }
      if (into.hasRemaining()) {
        // A value of several elements may begin in one buffer and end in the next.
        pass(1, rest.clear());
        take(rest.flip(), into);
      }
    }

    private void pass(int count, ByteBuffer into) throws IOException {
      ByteBuffer chunk = scratch().limit(count * narrow);
      values.read(chunk);
      kernel.apply(chunk.flip(), done, into);
      done += count;
    }
  }

  /** Quantises a matrix, row after row. */
  private final class InBlocks implements PackageWriter.LeafBytes {
    private final SourceTensor tensor;
    private final PackageWriter.LeafBytes elements;
    private final Quantiser quantiser;
    private final Transform.Half half;
    private final ByteBuffer wide;
    private final ByteBuffer narrow;
    private long row;

    InBlocks(SourceTensor tensor, PackageWriter.LeafBytes elements, Transform.Quantise quantise) {
      this.tensor = tensor;
      this.elements = elements;
      this.half = quantise.half();
      int columns = Math.toIntExact(quantise.columns());
      this.quantiser = new Quantiser(quantise.by().quantised(), quantise.by().method(), columns);
      this.wide = ByteBuffer.allocate(columns * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      int bytes =
          switch (half) {
            case VALUES -> quantiser.valueBytes();
            case SCALES -> quantiser.scaleBytes();
          };
      this.narrow = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN).limit(0);
    }

    @Override
    public void read(ByteBuffer into) throws IOException {
      while (into.hasRemaining()) {
        if (!narrow.hasRemaining()) {
          next();
        }
        take(narrow, into);
      }
    }

    private void next() throws IOException {
      elements.read(wide.clear());
      wide.flip().asFloatBuffer().get(quantiser.row());
      requireFinite();
      narrow.clear();
      switch (half) {
        case VALUES -> quantiser.values(narrow);
        case SCALES -> quantiser.scales(narrow);
      }
      narrow.flip();
      row++;
    }

    private void requireFinite() {
      int column = quantiser.notFinite();
      if (column >= 0) {
        throw new UnsupportedException(
            "%s, row %d of what is quantised, column %d".formatted(where(tensor), row, column),
            "a finite number",
            String.valueOf(quantiser.row()[column]),
            "no block can hold it; convert without --quantize");
      }
    }
  }

  /** Moves as many bytes as there are, and as there is room for. */
  static void take(ByteBuffer from, ByteBuffer into) {
    int count = Math.min(from.remaining(), into.remaining());
    into.put(from.slice(from.position(), count));
    from.position(from.position() + count);
  }

  /** Bytes of a tensor that hold all that a view sees, and what alternates with it. */
  private record Region(SourceTensor tensor, long from, long end) {
    static Region of(SourceTensor tensor, View view) {
      long period = 1;
      for (long stride : view.strides()) {
        period = Math.max(period, stride);
      }
      long from = view.offset() / period * period;
      long end = from + Math.ceilDiv(view.end() - from, period) * period;
      return new Region(tensor, from, Math.min(end, tensor.shape().elements()));
    }
  }

  /**
   * Elements that do not lie one after the other, a block of them at a time. A region of moderate
   * size is read as it lies, once for all leaves that are in it and follow each other; of a larger
   * one the runs that the block needs.
   */
  private final class Gathered implements PackageWriter.LeafBytes {
    private final SourceTensor tensor;
    private final FileChannel channel;
    private final View view;
    private final int width;
    private final long rows;
    private long row;
    private ByteBuffer block = ByteBuffer.allocate(0);

    Gathered(SourceTensor tensor, FileChannel channel, View view, int width) {
      this.tensor = tensor;
      this.channel = channel;
      this.view = view;
      this.width = width;
      long bytesOfRow = view.elements() / view.shape().dim(0) * width;
      this.rows = Math.clamp(sizes.block() / bytesOfRow, 1, view.shape().dim(0));
    }

    @Override
    public void read(ByteBuffer into) throws IOException {
      progress.advance(into.remaining());
      while (into.hasRemaining()) {
        if (!block.hasRemaining()) {
          next();
        }
        take(block, into);
      }
    }

    private void next() throws IOException {
      List<Long> dims = new ArrayList<>(view.shape().dims());
      dims.set(0, Math.min(rows, view.shape().dim(0) - row));
      View part = View.of(view.offset() + row * view.strides().getFirst(), dims, view.strides());
      row += dims.getFirst();
      int bytes = Math.toIntExact(part.elements() * width);
      if (block.capacity() < bytes) {
        block = direct(bytes);
      }
      block.clear().limit(bytes);
      MemorySegment seen = MemorySegment.ofBuffer(block);
      Region region = Region.of(tensor, view);
      if ((region.end() - region.from()) * width <= sizes.region()) {
        Rearrangement.of(part).gather(load(region), region.from(), seen, width);
      } else {
        Rearrangement.of(part)
            .inRuns(
                Math.max(1, sizes.run() / width),
                (from, end, to) -> to.gather(run(from, end), seen, width));
      }
    }

    private MemorySegment load(Region wanted) throws IOException {
      if (!wanted.equals(region)) {
        int bytes = Math.toIntExact((wanted.end() - wanted.from()) * width);
        if (regionBytes.capacity() < bytes) {
          regionBytes = direct(bytes);
        }
        region = null;
        SourceReader.this.read(
            channel, tensor, wanted.from() * width, regionBytes.clear().limit(bytes));
        region = wanted;
      }
      return MemorySegment.ofBuffer(regionBytes.position(0));
    }

    private MemorySegment run(long from, long end) throws IOException {
      int bytes = Math.toIntExact((end - from) * width);
      if (runBytes.capacity() < bytes) {
        runBytes = direct(bytes);
      }
      SourceReader.this.read(channel, tensor, from * width, runBytes.clear().limit(bytes));
      return MemorySegment.ofBuffer(runBytes.flip());
    }
  }

  @Override
  public void close() throws IOException {
    for (FileChannel channel : channels.values()) {
      channel.close();
    }
  }
}
