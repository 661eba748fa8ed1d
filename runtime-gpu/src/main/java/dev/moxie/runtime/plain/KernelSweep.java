package dev.moxie.runtime.plain;

import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.Arrays;

/**
 * Multiplies some rows of a matrix with one token again and again, so that they lie in the caches
 * nearest to the threads that compute: as fast as decoding is where no memory is waited for.
 */
public final class KernelSweep {
  /** Bytes of the rows, about: those of every thread fit its second cache. */
  private static final int ROOM = 1 << 17;

  /** Times that a turn multiplies them. */
  private static final int TIMES = 16;

  private static final int TURNS_OF_A_THREAD = 16;

  private final StoredMatrix matrix;
  private final int rows;
  private final float[] x;
  private final float[] products;

  /** Takes rows of one matrix of a package. */
  public KernelSweep(MoxiePackage pack, IndexRow row) {
    matrix = StoredMatrix.of(pack, row);
    long fit = ROOM * (long) matrix.rows() / matrix.storedBytes();
    rows = Math.toIntExact(Math.clamp(fit, 1, matrix.rows()));
    x = new float[Lanes.padded(matrix.columns())];
    Arrays.fill(x, 0, matrix.columns(), 1);
    products = new float[turns() * rows];
  }

  private static int turns() {
    return Team.shared().threads() * TURNS_OF_A_THREAD;
  }

  /** Bytes that a run multiplies. */
  public double bytes() {
    return (double) turns() * TIMES * rows * matrix.storedBytes() / matrix.rows();
  }

  /**
   * Multiplies.
   *
   * @return what proves it: every turn's products, row by row
   */
  public float[] run() {
    Team.shared().each(turns(), (long) TIMES * rows * matrix.columns(), this::turn);
    return products;
  }

  private void turn(int turn, Scratch scratch) {
    for (int i = 0; i < TIMES; i++) {
      Product.rows(matrix, 0, rows, x, 0, x.length, 1, products, turn * rows, 0, scratch);
    }
  }
}
