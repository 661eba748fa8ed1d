package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Step;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Forced;
import dev.moxie.verifier.oracle.Forced.Stage;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Recorded;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** What a package says and what a reference recorded, stage by stage. */
public final class Evidence {
  private final MoxiePackage pack;
  private final Recorded recorded;
  private final List<Integer> verified;
  private final Precision precision;
  private final Budget budget;
  private final Weights weights;
  private final Map<Integer, Forced> layers = new HashMap<>();
  private final Map<String, Shape> shapes = new HashMap<>();

  /**
   * Of a package and a trace.
   *
   * @param verified layers; of others nothing may be recorded
   * @param precision of the reference
   * @param budget that suppositions are tried within
   */
  public Evidence(
      MoxiePackage pack,
      Recorded recorded,
      List<Integer> verified,
      Precision precision,
      Budget budget) {
    this.pack = pack;
    this.recorded = recorded;
    this.verified = verified;
    this.precision = precision;
    this.budget = budget;
    this.weights = Weights.asConverted(pack, precision);
    for (IndexRow row : pack.rows()) {
      if (row.kind() != IndexRow.Kind.SLICE) {
        shapes.put(
            row.name(),
            row.kind() == IndexRow.Kind.TENSOR ? MoxiePackage.matrix(row) : row.shape());
      }
    }
  }

  MoxiePackage pack() {
    return pack;
  }

  Architecture architecture() {
    return pack.architecture();
  }

  Precision precision() {
    return precision;
  }

  /** The package's weights, as the reference read them. */
  Weights weights() {
    return weights;
  }

  /** The name of a step in the trace. */
  String name(int layer, Step step) {
    return recorded.name(layer, step);
  }

  int tokens() {
    return recorded.ids().length;
  }

  Budget budget() {
    return budget;
  }

  /** The layers that something is recorded of. */
  List<Integer> verified() {
    return verified;
  }

  /** Whether the package holds every tensor that a model calls for, in its shape. */
  boolean has(Architecture model) {
    return Tensors.ofForwardPass(model).stream()
        .allMatch(
            tensor -> {
              Shape shape = shapes.get(tensor.name());
              return shape != null && (tensor.stack() != null || shape.equals(tensor.shape()));
            });
  }

  /** A layer as the package has it. */
  Forced layer(int layer) {
    return layers.computeIfAbsent(layer, this::read);
  }

  private Forced read(int layer) {
    return new Forced(architecture(), weights, precision, recorded, layer);
  }

  /**
   * A layer as it would be under a supposition.
   *
   * @throws Budget.Spent if there is no time to compute it
   */
  Forced layer(int layer, Suspect suspect) {
    budget.require();
    return layer(layer).supposing(suspect.architecture(), suspect.weights());
  }

  /** A stage that was computed against what was recorded. */
  static Comparison compare(Forced layer, Stage stage) {
    return compare(layer.computed(stage), layer.recorded(stage));
  }

  private static Comparison compare(Estimate actual, Estimate expected) {
    return Tolerance.compare(
        actual.toFloats(), expected.toFloats(), actual.withErrorsBeside(expected));
  }

  /**
   * Each prediction layer that logits were recorded of, from the last layer's output, for the
   * tokens before the first whose experts rounding may change there: no trace says which it chose.
   */
  public List<Comparison> prediction() {
    Forced last = layer(architecture().layers().size() - 1);
    List<Forced.Predicted> predicted = last.predicted();
    int[] clear = clear(predicted);
    List<Comparison> compared = compare(predicted, clear);
    if (compared.stream().allMatch(Report::holds)) {
      return compared;
    }
    int[] rows = IntStream.of(clear).map(tokens -> Math.max(1, tokens)).toArray();
    return compare(last.sampled(predicted, rows), clear);
  }

  /** Tokens before the first whose experts rounding may change, in a layer or in one before it. */
  private static int[] clear(List<Forced.Predicted> layers) {
    int[] clear = new int[layers.size()];
    int before = Integer.MAX_VALUE;
    for (int i = 0; i < clear.length; i++) {
      Forced.Predicted layer = layers.get(i);
      clear[i] = Math.min(before, layer.logits().rows());
      if (!layer.undecided().isEmpty()) {
        clear[i] = Math.min(clear[i], layer.undecided().nextSetBit(0));
      }
      if (layer.routed() != null) {
        clear[i] = Math.min(clear[i], new Selection(layer.routed()).firstUnclear());
      }
      before = clear[i];
    }
    return clear;
  }

  private List<Comparison> compare(List<Forced.Predicted> layers, int[] clear) {
    List<Comparison> compared = new ArrayList<>();
    for (int i = 0; i < clear.length; i++) {
      int rows = Math.max(1, clear[i]);
      Estimate expected = recorded.predicted(i).beginning(rows);
      Comparison one = compare(layers.get(i).logits().beginning(rows), expected);
      compared.add(clear[i] == 0 ? one.notJudged() : one);
    }
    return compared;
  }

  /** Whether a stage comes out as it was recorded. */
  static boolean holds(Forced layer, Stage stage) {
    if (stage != Stage.SELECTION) {
      return compare(layer, stage).verdict().passed();
    }
    var selection = new Selection(layer.routed());
    List<int[]> experts = layer.experts();
    for (int t = 0; t < experts.size(); t++) {
      if (!selection.mayChoose(t, Selection.set(experts.get(t)))) {
        return false;
      }
    }
    return true;
  }

  /** Every stage of a layer of the package, in the order of computation. */
  List<Report.Step> inside(int layer) {
    Forced own = read(layer);
    List<Report.Step> steps = new ArrayList<>();
    for (Stage stage : own.stages()) {
      Comparison compared = stage == Stage.SELECTION ? null : compare(own, stage);
      Verdict verdict = compared == null ? Verdict.of(holds(own, stage)) : compared.verdict();
      boolean blame = stage == Stage.EXPERTS && !verdict.passed();
      steps.add(
          new Report.Step(stage.id(), verdict, compared, blame ? wrongExperts(own) : List.of()));
    }
    return steps;
  }

  /** Experts that some token chose, and whose every token's output is wrong. */
  private static List<Integer> wrongExperts(Forced layer) {
    Estimate actual = layer.computed(Stage.EXPERTS);
    Estimate expected = layer.recorded(Stage.EXPERTS);
    var used = new BitSet();
    var cleared = new BitSet();
    List<int[]> chosen = layer.experts();
    for (int t = 0; t < chosen.size(); t++) {
      boolean holds = rowHolds(actual, expected, t);
      for (int expert : chosen.get(t)) {
        used.set(expert);
        cleared.set(expert, holds || cleared.get(expert));
      }
    }
    used.andNot(cleared);
    return used.stream().boxed().toList();
  }

  private static boolean rowHolds(Estimate actual, Estimate expected, int row) {
    long elements = (long) actual.rows() * actual.columns();
    for (int c = 0; c < actual.columns(); c++) {
      double difference = Math.abs(actual.value(row, c) - expected.value(row, c));
      if (!(difference <= Tolerance.bound(actual.error(row, c), elements))) {
        return false;
      }
    }
    return true;
  }
}
