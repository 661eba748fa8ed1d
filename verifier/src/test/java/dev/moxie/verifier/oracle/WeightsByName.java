package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.MoxiePackage;

/** A package's weights by canonical names that are written out. */
record WeightsByName(MoxiePackage pack) {
  WeightMatrix tensor(String name) {
    return new StoredMatrix(
        pack, pack.tensor(name), ScaleShift.NONE, false, Precisions.of(Precision.F32));
  }

  WeightMatrix slice(String stack, int expert, Projection projection) {
    return new StoredMatrix(
        pack,
        pack.slice(stack, expert, projection),
        ScaleShift.NONE,
        false,
        Precisions.of(Precision.F32));
  }
}
