package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.runtime.Packages;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Rows in bulk, against the elements one by one as the format defines them. */
class StoredMatrixTest {
  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Fixtures.all().stream();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void everyLeafOfAPackageIsWidenedAsTheFormatDefines(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"))) {
      for (IndexRow row : pack.rows()) {
        if (row.isLeaf() && row.role() != Role.SCALE && row.role() != Role.PADDING) {
          requireSame(row.describe(), StoredMatrix.of(pack, row), pack.elements(row));
        }
      }
    }
  }

  @Property(tries = 100)
  void fp8OfAnyBlocksIsWidenedAsTheFormatDefines(
      @ForAll @IntRange(min = 1, max = 20) int rows,
      @ForAll @IntRange(min = 1, max = 70) int columns,
      @ForAll @IntRange(min = 1, max = 9) int blockRows,
      @ForAll @IntRange(min = 1, max = 40) int blockColumns,
      @ForAll Random random) {
    requireSame(new Fp8Block(blockRows, blockColumns), Shape.of(rows, columns), random);
  }

  @Property(tries = 50)
  void mxfp4IsWidenedAsTheFormatDefines(
      @ForAll @IntRange(min = 1, max = 5) int rows,
      @ForAll @IntRange(min = 1, max = 5) int blocks,
      @ForAll Random random) {
    requireSame(new Mxfp4(), Shape.of(rows, 32L * blocks), random);
  }

  private static void requireSame(BlockScaled encoding, Shape matrix, Random random) {
    MemorySegment numbers = bytes(encoding.stored(matrix), encoding.dtype(), random);
    List<Dtype> dtypes = encoding.scaleDtypes().stream().sorted().toList();
    Dtype dtype = dtypes.get(random.nextInt(dtypes.size()));
    MemorySegment scales = bytes(encoding.grid(matrix), dtype, random);
    requireSame(
        encoding.id() + " with scales of " + dtype,
        new StoredMatrix.Scaled(matrix, numbers, encoding, scales, dtype),
        Elements.scaled(encoding, numbers, scales, dtype, matrix.dim(1)));
  }

  private static MemorySegment bytes(Shape shape, Dtype dtype, Random random) {
    byte[] bytes = new byte[Math.toIntExact(shape.elements() * dtype.bits() / Byte.SIZE)];
    random.nextBytes(bytes);
    return MemorySegment.ofArray(bytes);
  }

  private static void requireSame(String what, StoredMatrix matrix, Elements elements) {
    float[] expected = new float[matrix.columns()];
    float[] widened = new float[matrix.columns()];
    for (int r = 0; r < matrix.rows(); r++) {
      matrix.read(r, widened);
      for (int c = 0; c < widened.length; c++) {
        expected[c] = (float) elements.get((long) r * widened.length + c);
      }
      assertArrayEquals(expected, widened, what);
    }
  }
}
