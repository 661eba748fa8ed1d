package dev.moxie.verifier.diff;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Elements;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * The values of a leaf, widened; exact, since each of them fits a double. A dtype that is not known
 * here is read as bytes.
 */
final class Values {
  /** Values that are read at a time. */
  static final int CHUNK = 1 << 12;

  private final Leaf leaf;
  private final MemorySegment bytes;
  private final @Nullable Elements elements;

  /** Maps a leaf's bytes until the arena is closed. */
  Values(Leaf leaf, Arena arena) {
    this.leaf = leaf;
    this.bytes = leaf.extent().map(arena);
    this.elements = areElements(leaf) ? elements(leaf, bytes, arena) : null;
  }

  private static Elements elements(Leaf leaf, MemorySegment bytes, Arena arena) {
    Leaf scales = leaf.scales();
    return scales != null && leaf.encoding() instanceof BlockScaled encoding
        ? Elements.scaled(
            encoding, bytes, scales.extent().map(arena), scales.dtype(), leaf.shape().dim(1))
        : Elements.plain(leaf.name(), bytes, leaf.dtype());
  }

  /** Whether the leaf's elements can be read, and not only its bytes. */
  static boolean areElements(Leaf leaf) {
    return leaf.scales() != null || Elements.areNumbers(leaf.dtype());
  }

  /** Whether two leaves have values in common to compare. */
  static boolean areComparable(Leaf a, Leaf b) {
    return a.shape().equals(b.shape())
        && (areElements(a) == areElements(b))
        && (a.dtype() == b.dtype() || areElements(a));
  }

  /** How many there are. */
  long count() {
    return elements != null ? leaf.shape().elements() : bytes.byteSize();
  }

  /** Reads so many values from one on. */
  void read(long start, int count, double[] into) {
    if (elements != null) {
      elements.read(start, count, into);
      return;
    }
    for (int i = 0; i < count; i++) {
      into[i] = bytes.get(ValueLayout.JAVA_BYTE, start + i) & 0xff;
    }
  }
}
