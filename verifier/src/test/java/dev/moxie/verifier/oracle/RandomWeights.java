package dev.moxie.verifier.oracle;

import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.runtime.plain.StoredMatrix;
import java.util.Random;

/** Weights at random, the same under the same name for both readers. */
record RandomWeights(int seed) {
  /** As the plain reader takes them. */
  StoredMatrix stored(Leaf leaf) {
    return new Matrix(leaf, seed);
  }

  /** As the oracle does. */
  WeightMatrix exact(Leaf leaf) {
    var matrix = new Matrix(leaf, seed);
    return new WeightMatrix() {
      @Override
      public int rows() {
        return matrix.rows();
      }

      @Override
      public int columns() {
        return matrix.columns();
      }

      @Override
      public void read(int row, double[] into) {
        float[] values = new float[into.length];
        matrix.read(row, values, 0);
        for (int c = 0; c < into.length; c++) {
          into[c] = values[c];
        }
      }

      @Override
      public double roundingOf(int row, int column, double value) {
        return 0;
      }
    };
  }

  private record Matrix(Leaf leaf, int seed) implements StoredMatrix {
    @Override
    public int rows() {
      return Math.toIntExact(leaf.shape().elements() / columns());
    }

    @Override
    public int columns() {
      return Math.toIntExact(leaf.shape().dim(leaf.shape().rank() - 1));
    }

    /**
     * Rows of matrices have a length of about 2, so that no activation fades; vectors are about 1.
     */
    @Override
    public void read(int row, float[] into, int at) {
      var random = new Random(31L * (31L * leaf.source().hashCode() + row) + seed);
      boolean vector = leaf.shape().rank() == 1;
      for (int c = 0; c < columns(); c++) {
        double value = random.nextGaussian();
        into[at + c] = (float) (vector ? 1 + 0.5 * value : 2 * value / Math.sqrt(columns()));
      }
    }
  }
}
