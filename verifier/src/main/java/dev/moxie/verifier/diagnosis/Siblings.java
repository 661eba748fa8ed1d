package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.Objects;
import java.util.function.UnaryOperator;

/** Rows of the index that stand in the place of another one. */
final class Siblings {
  private Siblings() {}

  /** The row of a tensor of another name; of a slice, the same one of a stack of that name. */
  static IndexRow renamed(MoxiePackage pack, IndexRow row, UnaryOperator<String> rename) {
    String name = rename.apply(row.name());
    return row.kind() == IndexRow.Kind.SLICE
        ? pack.slice(name, Objects.requireNonNull(row.expert()), projection(row))
        : pack.tensor(name);
  }

  /** The same weight of another layer. */
  static IndexRow ofLayer(MoxiePackage pack, IndexRow row, int layer) {
    return renamed(
        pack, row, name -> name.replaceFirst("^layers\\.\\d+\\.", "layers." + layer + "."));
  }

  /** The same projection of another expert. */
  static IndexRow ofExpert(MoxiePackage pack, IndexRow row, int expert) {
    return pack.slice(row.name(), expert, projection(row));
  }

  /** Gate for up, up for gate, and the same for any other. */
  static IndexRow gateForUp(MoxiePackage pack, IndexRow row) {
    return switch (row.projection()) {
      case GATE -> pack.slice(row.name(), Objects.requireNonNull(row.expert()), Projection.UP);
      case UP -> pack.slice(row.name(), Objects.requireNonNull(row.expert()), Projection.GATE);
      case DOWN -> row;
      case null -> renamed(pack, row, name -> swap(name, ".gate.", ".up."));
    };
  }

  static String swap(String name, String a, String b) {
    return name.contains(a) ? name.replace(a, b) : name.replace(b, a);
  }

  private static Projection projection(IndexRow row) {
    return Objects.requireNonNull(row.projection());
  }
}
