package dev.moxie.runtime.plain;

import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * How sums are computed. A sum of products has {@link #COUNT} partial sums, of which number l takes
 * the products at l, l + COUNT, l + 2 · COUNT and so on, each by a fused multiply-add; {@link
 * Sums#fold} adds them up in one order. So a sum has the same bits however wide vectors are,
 * however many threads there are, and however many tokens are computed at once.
 */
final class Lanes {
  /** Partial sums of a sum; every width of vectors divides it. */
  static final int COUNT = 16;

  static final VectorSpecies<Float> FLOATS =
      FloatVector.SPECIES_PREFERRED.length() > COUNT
          ? FloatVector.SPECIES_512
          : FloatVector.SPECIES_PREFERRED;

  /** Numbers in a vector. */
  static final int WIDTH = FLOATS.length();

  static final VectorSpecies<Integer> INTS = VectorSpecies.of(int.class, FLOATS.vectorShape());
  static final VectorSpecies<Short> SHORTS = ofBits(short.class, FLOATS.vectorBitSize() / 2);

  /** Of which no vector is narrower than 64 bits. */
  static final VectorSpecies<Byte> BYTES =
      ofBits(byte.class, Math.max(64, FLOATS.vectorBitSize() / 4));

  /** Whether a vector of bytes has as many lanes as one of floats. */
  static final boolean BYTES_FIT = BYTES.length() == WIDTH;

  static final ByteOrder LITTLE = ByteOrder.LITTLE_ENDIAN;

  private Lanes() {}

  private static <E> VectorSpecies<E> ofBits(Class<E> type, int bits) {
    return VectorSpecies.of(type, VectorShape.forBitSize(bits));
  }

  /** The least multiple of {@link #COUNT} that is no smaller. */
  static int padded(int columns) {
    return Math.addExact(columns, COUNT - 1) & -COUNT;
  }
}
