package dev.moxie.verifier.diagnosis;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.verifier.oracle.WeightMatrix;
import dev.moxie.verifier.oracle.Weights;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.IntBinaryOperator;
import java.util.function.IntUnaryOperator;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** Stacks of experts that were cut or decoded otherwise than they were written. */
final class StackSuspects {
  /** Factors between exponents that are one apart. */
  private static final double[] EXPONENTS = {2, 0.5};

  private final Evidence evidence;
  private final int layer;
  private final List<Suspect> suspects = new ArrayList<>();

  private StackSuspects(Evidence evidence, int layer) {
    this.evidence = evidence;
    this.layer = layer;
  }

  static Stream<Suspect> of(Evidence evidence, int layer) {
    var stacks = new StackSuspects(evidence, layer);
    stacks.cut();
    stacks.biases();
    if (evidence.pack().rows().stream().anyMatch(row -> stacks.isMine(row) && isScaled(row))) {
      stacks.decoded();
    }
    return stacks.suspects.stream();
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

  private void suppose(String cause, Predicate<IndexRow> which, Weights.Supposition supposition) {
    suspects.add(
        Suspect.of(
            cause,
            evidence,
            (row, stored) ->
                isMine(row) && which.test(row) ? supposition.apply(row, stored) : stored.get(row)));
  }

  /** Rows of gate and up that were dealt out in another order than they lie in. */
  private void cut() {
    Predicate<IndexRow> both = row -> row.projection() != Projection.DOWN;
    suppose(
        "interleaved rows of gate and up read as halves",
        both,
        (row, stored) ->
            dealt(row, stored, (r, size) -> 2 * r + (row.projection() == Projection.UP ? 1 : 0)));
    suppose(
        "halves of gate and up read as interleaved rows",
        both,
        (row, stored) ->
            dealt(
                row,
                stored,
                (r, size) -> {
                  int at = row.projection() == Projection.UP ? r + size : r;
                  return at / 2 + at % 2 * size;
                }));
    suppose(
        "square matrices of experts transposed",
        row -> !isBias(row) && row.shape().dim(0) == row.shape().dim(1),
        (row, stored) -> stored.get(row).transposed());
    suppose(
        "square gate and up matrices of experts transposed",
        row -> both.test(row) && !isBias(row) && row.shape().dim(0) == row.shape().dim(1),
        (row, stored) -> stored.get(row).transposed());
  }

  /** A row, or element of a bias, of gate and up one below the other. */
  private WeightMatrix dealt(IndexRow row, Weights.Stored stored, IntBinaryOperator deal) {
    boolean up = row.projection() == Projection.UP;
    WeightMatrix own = stored.get(row);
    WeightMatrix other = stored.get(Siblings.gateForUp(evidence.pack(), row));
    WeightMatrix gate = up ? other : own;
    WeightMatrix below = up ? own : other;
    return isBias(row)
        ? WeightMatrix.dealt(gate.transposed(), below.transposed(), deal).transposed()
        : WeightMatrix.dealt(gate, below, deal);
  }

  private void biases() {
    suppose(
        "biases of gate and up swapped",
        StackSuspects::isBias,
        (row, stored) -> stored.get(Siblings.gateForUp(evidence.pack(), row)));
    int experts = evidence.oracle().mixtureOf(layer).experts();
    for (int by : new int[] {1, -1}) {
      IntUnaryOperator source = e -> Math.floorMod(e + by, experts);
      suppose(
          "biases of experts moved " + (by > 0 ? "on" : "back") + " by one",
          StackSuspects::isBias,
          (row, stored) ->
              stored.get(
                  Siblings.ofExpert(
                      evidence.pack(),
                      row,
                      source.applyAsInt(Objects.requireNonNull(row.expert())))));
    }
  }

  /** Numbers of a few bits, and their scales. */
  private void decoded() {
    suppose(
        "the two numbers of each byte swapped",
        StackSuspects::isScaled,
        (row, stored) -> stored.get(row).withColumns(c -> c ^ 1));
    for (double factor : EXPONENTS) {
      String off = "scales of %s off by a factor of " + (factor > 1 ? "0.5" : "2");
      suppose(
          off.formatted("all experts"),
          StackSuspects::isScaled,
          (row, stored) -> stored.get(row).times(factor));
      suppose(
          off.formatted("gate and up of all experts"),
          row -> isScaled(row) && row.projection() != Projection.DOWN,
          (row, stored) -> stored.get(row).times(factor));
    }
  }
}
