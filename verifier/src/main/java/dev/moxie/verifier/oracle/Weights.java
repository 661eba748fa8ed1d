package dev.moxie.verifier.oracle;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;

/** A package's weights, as they are or under a supposition about them. */
public final class Weights {
  private final MoxiePackage pack;
  private final Predicate<IndexRow> rounded;
  private final Precisions readAs;
  private final Supposition supposition;
  private final Map<String, double[]> vectors;
  private final Map<IndexRow, WeightMatrix> matrices;

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
      Precisions readAs,
      Supposition supposition,
      Map<String, double[]> vectors,
      Map<IndexRow, WeightMatrix> matrices) {
    this.pack = pack;
    this.rounded = rounded;
    this.readAs = readAs;
    this.supposition = supposition;
    this.vectors = vectors;
    this.matrices = matrices;
  }

  private static Weights of(MoxiePackage pack, Predicate<IndexRow> rounded, Precisions readAs) {
    return new Weights(
        pack,
        rounded,
        readAs,
        (row, stored) -> stored.get(row),
        Map.of(),
        new ConcurrentHashMap<>());
  }

  /** Exactly the weights that are stored. */
  public static Weights asStored(MoxiePackage pack) {
    return asStored(pack, Precision.F32);
  }

  /**
   * The weights that are stored.
   *
   * @param readAs what a runtime rounds them to before it computes
   */
  public static Weights asStored(MoxiePackage pack, Precision readAs) {
    return of(pack, row -> false, Precisions.of(readAs));
  }

  /**
   * The weights as estimates of the source's, off by what conversion rounded.
   *
   * @param readAs what a reference rounds weights to before it computes
   */
  public static Weights asConverted(MoxiePackage pack, Precision readAs) {
    return asConverted(pack, Precisions.of(readAs));
  }

  /**
   * The same for two implementations that are held to each other.
   *
   * @param readAs what each rounds weights to before it computes
   */
  public static Weights asConverted(MoxiePackage pack, Precisions readAs) {
    return of(pack, row -> !IndexRow.COPY.equals(row.transform()), readAs);
  }

  /** Stored weights as estimates of ones that were rounded before they came here. */
  public Weights asRounded() {
    return of(pack, row -> true, readAs);
  }

  /** The same weights, some of them supposed to be others. */
  public Weights supposing(Supposition other) {
    return new Weights(pack, rounded, readAs, other, vectors, matrices);
  }

  /** The same weights and vectors that the package lacks, by name. */
  public Weights with(Map<String, double[]> others) {
    return new Weights(pack, rounded, readAs, supposition, others, matrices);
  }

  /** The same weights, some vectors being what the package has under other names. */
  public Weights named(Map<String, String> others) {
    Map<String, double[]> all = new HashMap<>(vectors);
    others.forEach(
        (name, other) -> {
          WeightMatrix stored = stored(pack.tensor(other), ScaleShift.NONE);
          double[] vector = new double[stored.columns()];
          stored.read(0, vector);
          all.put(name, vector);
        });
    return with(all);
  }

  WeightMatrix of(TensorSpec.Leaf leaf) {
    String name = leaf.tensor().name();
    double[] vector = vectors.get(name);
    if (vector != null) {
      return WeightMatrix.vector(vector);
    }
    return supposition.apply(pack.row(leaf), this::stored);
  }

  /** The stored bias of each expert of a layer's router; zeros where there is none. */
  double[] routerBias(int layer, FeedForward.MixtureOfExperts moe) {
    double[] bias = new double[moe.experts()];
    if (moe.routing().hasBiasOfScores()) {
      of(Forward.routerBias(layer, moe)).read(0, bias);
    }
    return bias;
  }

  private WeightMatrix stored(IndexRow row, ScaleShift shift) {
    return shift.equals(ScaleShift.NONE)
        ? matrices.computeIfAbsent(row, r -> matrix(r, shift))
        : matrix(row, shift);
  }

  private WeightMatrix matrix(IndexRow row, ScaleShift shift) {
    return new StoredMatrix(pack, row, shift, rounded.test(row), readAs);
  }
}
