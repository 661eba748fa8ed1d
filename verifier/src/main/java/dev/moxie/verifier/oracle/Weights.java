package dev.moxie.verifier.oracle;

import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.Map;
import java.util.function.Predicate;

/** A package's weights, as they are or under a supposition about them. */
public final class Weights {
  private final MoxiePackage pack;
  private final Predicate<IndexRow> rounded;
  private final Precision readAs;
  private final Supposition supposition;
  private final Map<String, double[]> vectors;

  /** What a matrix is supposed to be instead of what is stored under its name. */
  @FunctionalInterface
  public interface Supposition {
    /**
     * The matrix to compute with.
     *
     * @param row what is asked for
     * @param stored gives any matrix of the package as it is
     */
    WeightMatrix apply(IndexRow row, Stored stored);
  }

  /** Matrices of a package as they are. */
  @FunctionalInterface
  public interface Stored {
    WeightMatrix get(IndexRow row, ScaleShift shift);

    default WeightMatrix get(IndexRow row) {
      return get(row, ScaleShift.NONE);
    }
  }

  private Weights(
      MoxiePackage pack,
      Predicate<IndexRow> rounded,
      Precision readAs,
      Supposition supposition,
      Map<String, double[]> vectors) {
    this.pack = pack;
    this.rounded = rounded;
    this.readAs = readAs;
    this.supposition = supposition;
    this.vectors = vectors;
  }

  /** Exactly the weights that are stored: what a runtime computes with. */
  public static Weights asStored(MoxiePackage pack) {
    return new Weights(pack, row -> false, Precision.F32, (row, s) -> s.get(row), Map.of());
  }

  /** The weights as estimates of the source's, off by what conversion rounded. */
  public static Weights asConverted(MoxiePackage pack) {
    return new Weights(
        pack,
        row -> !IndexRow.COPY.equals(row.transform()),
        Precision.F32,
        (row, stored) -> stored.get(row),
        Map.of());
  }

  /** The same weights as estimates of ones that were rounded before they came here. */
  public Weights asRounded() {
    return new Weights(pack, row -> true, readAs, supposition, vectors);
  }

  /** The same weights, which a reference of a lower precision rounds before it computes. */
  public Weights readAs(Precision precision) {
    return new Weights(pack, rounded, precision, supposition, vectors);
  }

  /** The same weights, some of them supposed to be others. */
  public Weights supposing(Supposition other) {
    return new Weights(pack, rounded, readAs, other, vectors);
  }

  /** The same weights and vectors that the package lacks, by name. */
  public Weights with(Map<String, double[]> others) {
    return new Weights(pack, rounded, readAs, supposition, others);
  }

  WeightMatrix of(TensorSpec.Leaf leaf) {
    String name = leaf.tensor().name();
    double[] vector = vectors.get(name);
    if (vector != null) {
      return WeightMatrix.vector(vector);
    }
    IndexRow row =
        leaf.expert() == null || leaf.projection() == null
            ? pack.tensor(name)
            : pack.slice(name, leaf.expert(), leaf.projection());
    return supposition.apply(row, this::stored);
  }

  private WeightMatrix stored(IndexRow row, ScaleShift shift) {
    return new StoredMatrix(pack, row, shift, rounded.test(row), readAs);
  }
}
