package dev.moxie.verifier.diff;

import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.safetensors.Dtype;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The values of a leaf, widened; exact, since each of them fits a double. Block-scaled elements are
 * the float32 products that the format defines them as. A dtype that is not known here is read as
 * bytes.
 */
final class Values {
  /** Values that are read at a time. */
  static final int CHUNK = 1 << 12;

  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final Set<Dtype> WIDENED =
      EnumSet.of(Dtype.F32, Dtype.BF16, Dtype.F16, Dtype.F8_E4M3, Dtype.F8_E5M2);

  private final Leaf leaf;
  private final MemorySegment bytes;
  private final @Nullable MemorySegment scales;

  /** Maps a leaf's bytes until the arena is closed. */
  Values(Leaf leaf, Arena arena) {
    this.leaf = leaf;
    this.bytes = leaf.extent().map(arena);
    this.scales = leaf.scales() == null ? null : leaf.scales().extent().map(arena);
  }

  /** Whether the leaf's elements can be read, and not only its bytes. */
  static boolean areElements(Leaf leaf) {
    return WIDENED.contains(leaf.dtype());
  }

  /** Whether two leaves have values in common to compare. */
  static boolean areComparable(Leaf a, Leaf b) {
    return a.shape().equals(b.shape())
        && (a.dtype() == b.dtype() || (areElements(a) && areElements(b)));
  }

  /** How many there are. */
  long count() {
    return areElements(leaf) ? leaf.shape().elements() : bytes.byteSize();
  }

  /** Reads so many values from one on. */
  void read(long start, int count, double[] into) {
    switch (leaf.dtype()) {
      case F32 -> {
        for (int i = 0; i < count; i++) {
          into[i] = bytes.get(FLOAT, (start + i) * 4);
        }
      }
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          into[i] = Float.intBitsToFloat(bytes.get(SHORT, (start + i) * 2) << 16);
        }
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          into[i] = Float.float16ToFloat(bytes.get(SHORT, (start + i) * 2));
        }
      }
      case F8_E4M3 -> {
        for (int i = 0; i < count; i++) {
          into[i] = Fp8Blocks.value(bytes.get(ValueLayout.JAVA_BYTE, start + i));
        }
        if (scales != null) {
          scale(scales, start, count, into);
        }
      }
      case F8_E5M2 -> {
        // An e5m2 is the upper half of a float16.
        for (int i = 0; i < count; i++) {
          into[i] =
              Float.float16ToFloat((short) (bytes.get(ValueLayout.JAVA_BYTE, start + i) << 8));
        }
      }
      default -> {
        for (int i = 0; i < count; i++) {
          into[i] = bytes.get(ValueLayout.JAVA_BYTE, start + i) & 0xff;
        }
      }
    }
  }

  private void scale(MemorySegment grid, long start, int count, double[] values) {
    long columns = leaf.shape().dim(1);
    long blocks = Fp8Blocks.blocks(columns);
    int i = 0;
    while (i < count) {
      long row = (start + i) / columns;
      long column = (start + i) % columns;
      long block = column / Fp8Blocks.SIZE;
      long end = Math.min(columns, (block + 1) * Fp8Blocks.SIZE);
      float scale = grid.get(FLOAT, (row / Fp8Blocks.SIZE * blocks + block) * 4);
      for (int last = (int) Math.min(count, i + end - column); i < last; i++) {
        values[i] = (float) values[i] * scale;
      }
    }
  }
}
