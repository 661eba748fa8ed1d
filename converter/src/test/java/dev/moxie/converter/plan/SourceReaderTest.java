package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.pack.PackageWriter;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.view.View;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class SourceReaderTest {
  /** Whatever fits into the region, the block and the run, and whatever room there is. */
  @Property(tries = 60)
  void everyElementIsReadThroughItsView(
      @ForAll @IntRange(min = 2, max = 30) int rows,
      @ForAll @IntRange(min = 2, max = 30) int columns,
      @ForAll @IntRange(min = 1, max = 4000) int region,
      @ForAll @IntRange(min = 1, max = 200) int block,
      @ForAll @IntRange(min = 1, max = 200) int run,
      @ForAll @IntRange(min = 1, max = 77) int room)
      throws IOException {
    Path folder = Files.createTempDirectory("views");
    int elements = 3 + 4 * rows * columns;
    ByteBuffer bytes = ByteBuffer.allocate(elements * 2).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < elements; i++) {
      bytes.putShort((short) i);
    }
    Path file = folder.resolve("f");
    Files.write(file, bytes.array());
    var tensor =
        new SourceTensor("f", "t", Dtype.BF16, Shape.of(elements - 3L), 6, 2L * (elements - 3));
    // Two experts, their matrices transposed, columns of gate and up alternating.
    try (var reader =
        new SourceReader(folder, Progress.NONE, new SourceReader.Sizes(region, block, run))) {
      for (int expert = 0; expert < 2; expert++) {
        for (int projection = 0; projection < 2; projection++) {
          long offset = 2L * expert * rows * columns + projection;
          View view = View.of(offset, List.of((long) rows, (long) columns), List.of(2L, 2L * rows));
          ByteBuffer read = read(reader, tensor, view, room);
          for (int i = 0; i < rows * columns; i++) {
            long place = offset + 2L * (i / columns) + 2L * rows * (i % columns);
            assertEquals((short) (place + 3), read.getShort());
          }
        }
      }
    } finally {
      Files.delete(file);
      Files.delete(folder);
    }
  }

  private static ByteBuffer read(SourceReader reader, SourceTensor tensor, View view, int room)
      throws IOException {
    PackageWriter.LeafBytes leaf =
        reader.open(ConversionPlan.Piece.of(new Place(tensor, view), new Transform.Copy()));
    int size = (int) view.elements() * 2;
    ByteBuffer all = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    while (all.hasRemaining()) {
      ByteBuffer some = ByteBuffer.allocate(Math.min(room, all.remaining()));
      leaf.read(some);
      all.put(some.flip());
    }
    return all.flip();
  }
}
