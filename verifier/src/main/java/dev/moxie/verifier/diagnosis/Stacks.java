package dev.moxie.verifier.diagnosis;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.verifier.oracle.ScaleShift;
import dev.moxie.verifier.oracle.WeightMatrix;
import dev.moxie.verifier.oracle.Weights;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntBinaryOperator;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** Weights of a layer that were cut or decoded otherwise than they were written. */
final class Stacks {
  private static final Map<String, ScaleShift> SHIFTS = new LinkedHashMap<>();

  static {
    SHIFTS.put("shifted one row down", new ScaleShift(-1, 0, 0, false));
    SHIFTS.put("shifted one row up", new ScaleShift(1, 0, 0, false));
    SHIFTS.put("shifted one column to the right", new ScaleShift(0, -1, 0, false));
    SHIFTS.put("shifted one column to the left", new ScaleShift(0, 1, 0, false));
    SHIFTS.put("shifted one place on", new ScaleShift(0, 0, -1, false));
    SHIFTS.put("shifted one place back", new ScaleShift(0, 0, 1, false));
    SHIFTS.put("applied that the reference does not apply", ScaleShift.DROPPED);
  }

  /** Factors between exponents that are one apart. */
  private static final double[] EXPONENTS = {2, 0.5};

  private final Evidence evidence;
  private final int layer;

  Stacks(Evidence evidence, int layer) {
    this.evidence = evidence;
    this.layer = layer;
  }

  /**
   * Block scales of all tensors of a part of the layer left out, or not those of their block; then
   * those of each tensor by itself.
   *
   * @param part of a canonical name, as in ".attention."
   */
  Stream<Suspect> scales(String part) {
    List<String> scaled =
        evidence.pack().rows().stream()
            .filter(row -> row.layer() != null && row.layer() == layer)
            .filter(row -> row.kind() != IndexRow.Kind.SLICE && isScaled(row))
            .map(IndexRow::name)
            .filter(name -> name.contains(part))
            .toList();
    if (scaled.isEmpty()) {
      return Stream.of();
    }
    String all = "all its%s weights".formatted(part.replace('.', ' ').stripTrailing());
    return Stream.concat(
        scales(all, row -> row.name().contains(part)),
        scaled.stream().flatMap(name -> scales(name, row -> row.name().equals(name))));
  }

  private Stream<Suspect> scales(String whose, Predicate<IndexRow> which) {
    return SHIFTS.entrySet().stream()
        .map(
            shift ->
                Suspect.of(
                    "the block scales of " + whose + " " + shift.getKey(),
                    evidence,
                    which,
                    (row, stored) -> stored.get(row, shift.getValue())));
  }

  /** Everything that may have become of the layer's stacks of experts. */
  Stream<Suspect> experts() {
    List<Suspect> suspects = new ArrayList<>();
    Predicate<IndexRow> weights = row -> !isBias(row);
    Predicate<IndexRow> both = row -> row.projection() != Projection.DOWN;
    if (!evidence.layer(layer).moe().ungated()) {
      suspects.add(
          suppose(
              "interleaved rows of gate and up read as halves",
              both,
              dealt((r, size) -> 2 * (r % size) + r / size)));
      suspects.add(
          suppose(
              "halves of gate and up read as interleaved rows",
              both,
              dealt((r, size) -> r / 2 + r % 2 * size)));
      suspects.add(
          suppose(
              "biases of gate and up swapped",
              Stacks::isBias,
              (row, stored) -> stored.get(Siblings.gateForUp(evidence.pack(), row))));
    }
    suspects.add(
        suppose(
            "square matrices of experts transposed",
            weights.and(Exchanges::isSquare),
            (row, stored) -> stored.get(row).transposed()));
    suspects.add(
        suppose(
            "square gate and up matrices of experts transposed",
            weights.and(both).and(Exchanges::isSquare),
            (row, stored) -> stored.get(row).transposed()));
    for (int by : new int[] {1, -1}) {
      suspects.add(
          suppose(
              "biases of experts moved " + (by > 0 ? "on" : "back") + " by one",
              Stacks::isBias,
              (row, stored) -> stored.get(next(row, by))));
    }
    if (evidence.pack().rows().stream().anyMatch(row -> isMine(row) && isScaled(row))) {
      suspects.add(
          suppose(
              "the two numbers of each byte swapped",
              Stacks::isScaled,
              (row, stored) -> stored.get(row).withColumns(c -> c ^ 1)));
      for (double factor : EXPONENTS) {
        String off = "scales of %s off by a factor of " + (factor > 1 ? "0.5" : "2");
        Weights.Supposition times = (row, stored) -> stored.get(row).times(factor);
        suspects.add(suppose(off.formatted("all experts"), Stacks::isScaled, times));
        suspects.add(
            suppose(
                off.formatted("gate and up of all experts"), both.and(Stacks::isScaled), times));
      }
    }
    return suspects.stream();
  }

  private boolean isMine(IndexRow row) {
    return row.kind() == IndexRow.Kind.SLICE
        && Objects.requireNonNull(row.layer()) == layer
        && row.name().contains(".experts.");
  }

  private static boolean isScaled(IndexRow row) {
    return row.encoding() instanceof BlockScaled;
  }

  private static boolean isBias(IndexRow row) {
    return row.name().endsWith(".bias");
  }

  private Suspect suppose(
      String cause, Predicate<IndexRow> which, Weights.Supposition supposition) {
    return Suspect.of(cause, evidence, row -> isMine(row) && which.test(row), supposition);
  }

  private IndexRow next(IndexRow row, int by) {
    int expert = Objects.requireNonNull(row.expert()) + by;
    int experts = evidence.layer(layer).moe().weighted();
    return Siblings.ofExpert(evidence.pack(), row, Math.floorMod(expert, experts));
  }

  /**
   * Rows, or elements of a bias, of gate and up that were dealt out in another order than they lie
   * in.
   *
   * @param deal where a row of both, gate above up, lies, given how many each has
   */
  private Weights.Supposition dealt(IntBinaryOperator deal) {
    return (row, stored) -> {
      boolean up = row.projection() == Projection.UP;
      WeightMatrix own = stored.get(row);
      WeightMatrix other = stored.get(Siblings.gateForUp(evidence.pack(), row));
      WeightMatrix gate = up ? other : own;
      WeightMatrix below = up ? own : other;
      IntBinaryOperator source = (r, size) -> deal.applyAsInt(up ? r + size : r, size);
      return isBias(row)
          ? WeightMatrix.dealt(gate.transposed(), below.transposed(), source).transposed()
          : WeightMatrix.dealt(gate, below, source);
    };
  }
}
