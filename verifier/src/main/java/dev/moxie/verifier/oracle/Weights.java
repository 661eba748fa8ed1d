package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.function.Predicate;

/** A package's weights, as they are or under a supposition about them. */
public final class Weights {
  private final MoxiePackage pack;
  private final Predicate<IndexRow> rounded;
  private final WeightMatrix.ScaleShift shift;
  private final Predicate<IndexRow> shifted;

  private Weights(
      MoxiePackage pack,
      Predicate<IndexRow> rounded,
      WeightMatrix.ScaleShift shift,
      Predicate<IndexRow> shifted) {
    this.pack = pack;
    this.rounded = rounded;
    this.shift = shift;
    this.shifted = shifted;
  }

  /** Exactly the weights that are stored: what a runtime computes with. */
  public static Weights asStored(MoxiePackage pack) {
    return new Weights(pack, row -> false, WeightMatrix.ScaleShift.NONE, row -> false);
  }

  /** The weights as estimates of the source's, off by what conversion rounded. */
  public static Weights asConverted(MoxiePackage pack) {
    return shifted(pack, WeightMatrix.ScaleShift.NONE, row -> false);
  }

  /** The weights as estimates of ones that were rounded before they came into the checkpoint. */
  public static Weights asRounded(MoxiePackage pack) {
    return new Weights(pack, row -> true, WeightMatrix.ScaleShift.NONE, row -> false);
  }

  /** As {@link #asConverted}, with the block scales of some of them displaced. */
  public static Weights shifted(
      MoxiePackage pack, WeightMatrix.ScaleShift shift, Predicate<IndexRow> which) {
    return new Weights(pack, row -> !IndexRow.COPY.equals(row.transform()), shift, which);
  }

  WeightMatrix tensor(String name) {
    return matrix(pack.tensor(name));
  }

  WeightMatrix slice(String stack, int expert, Projection projection) {
    return matrix(pack.slice(stack, expert, projection));
  }

  private WeightMatrix matrix(IndexRow row) {
    WeightMatrix.ScaleShift applied = shifted.test(row) ? shift : WeightMatrix.ScaleShift.NONE;
    return new WeightMatrix(pack, row, applied, rounded.test(row));
  }
}
