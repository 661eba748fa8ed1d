package dev.moxie.verifier.baseline;

import dev.moxie.format.model.Architecture;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Holds one sequence to its record, matrix by matrix while it is computed. The oracle goes the same
 * way, with the experts that were chosen now. Where another set was recorded, everything from that
 * token on is another computation: a set that rounding may have led to is a tie, any other a drift,
 * and later numbers of that token and those after it are not compared.
 */
final class SequenceCheck implements SequenceRecorder.Watcher {
  private final int sequence;
  private final Baseline.Sequence recorded;
  private final Architecture architecture;
  private final Set<Long> endTokens;
  private final @Nullable Oracle oracle;
  private @Nullable Estimate hidden;
  private int comparable;

  private int matrices;
  private int identical;
  private double nearest;
  private int decisions;
  private int ties;
  private final List<BaselineReport.Drift> drifts = new ArrayList<>();
  private final List<String> notCompared = new ArrayList<>();

  /**
   * Begins a sequence.
   *
   * @param sequence its number
   * @param endTokens tokens that a greedy continuation never chooses
   * @param oracle null where nothing may differ
   */
  SequenceCheck(
      int sequence,
      Baseline.Sequence recorded,
      Architecture architecture,
      Set<Long> endTokens,
      @Nullable Oracle oracle) {
    this.sequence = sequence;
    this.recorded = recorded;
    this.architecture = architecture;
    this.endTokens = endTokens;
    this.oracle = oracle;
    this.hidden = oracle == null ? null : oracle.embed(recorded.tokens());
    this.comparable = recorded.ids().size();
  }

  /** What was found; the components have the meaning that they have in the report. */
  record Outcome(
      int matrices,
      int identical,
      double nearest,
      int decisions,
      int ties,
      List<BaselineReport.Drift> drifts,
      List<String> notCompared) {}

  Outcome outcome() {
    return new Outcome(matrices, identical, nearest, decisions, ties, drifts, notCompared);
  }

  @Override
  public void layer(int layer, SequenceRecorder.LayerRun run) {
    Oracle.@Nullable Layer exact = null;
    if (oracle != null) {
      exact = oracle.layer(layer, recorded.tokens(), Objects.requireNonNull(hidden), experts(run));
      hidden = exact.output();
      // No baseline records which positions were seen.
      comparable = Math.min(comparable, exact.firstUndecided());
    }
    @Nullable Selection selection =
        exact == null || exact.routed() == null ? null : Selection.of(exact);
    if (recorded.layers().isEmpty()) {
      leaveUnclear(selection);
      return;
    }
    Baseline.Layer then = recorded.layers().get(layer);
    if (then.routing() != null && run.kept().routing() != null && run.choice() != null) {
      var choice =
          new Matrix(
              run.choice(),
              run.choice().length / recorded.ids().size(),
              run.kept().routing().choice(),
              exact == null ? null : Objects.requireNonNull(exact.routed()).choice(),
              comparable);
      compare(layer, "router", then.routing().choice(), choice, List.of());
      decisions(layer, then.routing(), run.kept().routing(), selection);
    }
    var output =
        new Matrix(
            run.result().output(),
            architecture.streamWidth(),
            run.kept().output(),
            exact == null ? null : exact.output(),
            comparable);
    compare(layer, "output", then.output(), output, List.of());
  }

  private static @Nullable List<int[]> experts(SequenceRecorder.LayerRun run) {
    return run.result().mixture() == null
        ? null
        : run.result().mixture().decisions().stream().map(Layers.Decision::experts).toList();
  }

  /** Where no experts were recorded, only tokens are compared whose experts are clear. */
  private void leaveUnclear(@Nullable Selection selection) {
    if (selection != null) {
      comparable = Math.min(comparable, selection.firstUnclear());
    }
  }

  private void decisions(
      int layer, Baseline.Routing then, Baseline.Routing now, @Nullable Selection selection) {
    int parted = comparable;
    List<Integer> drifted = new ArrayList<>();
    for (int t = 0; t < comparable; t++) {
      List<Integer> before = then.experts().get(t);
      List<Integer> after = now.experts().get(t);
      if (before.equals(after)) {
        continue;
      }
      parted = Math.min(parted, t);
      if (before.size() == after.size()
          && mayChoose(selection, t, before)
          && mayChoose(selection, t, after)) {
        ties++;
        notCompared.add(
            "sequence %d from layer %d, token %d on, where rounding may choose %s or %s"
                .formatted(sequence, layer, t, before, after));
      } else {
        drifted.add(t);
      }
    }
    if (!drifted.isEmpty()) {
      int first = drifted.getFirst();
      List<Integer> after = now.experts().get(first);
      drifts.add(
          new BaselineReport.Drift(
              sequence,
              layer,
              "routing",
              drifted,
              drifted.size(),
              comparable,
              "token " + first + ", experts" + margin(then),
              then.experts().get(first).toString(),
              after.toString(),
              null,
              selection == null ? null : mayChoose(selection, first, after)));
    }
    decisions += comparable;
    comparable = parted;
  }

  private static boolean mayChoose(
      @Nullable Selection selection, int token, List<Integer> experts) {
    return selection != null && selection.mayChoose(token, Set.copyOf(experts));
  }

  private static String margin(Baseline.Routing then) {
    return then.smallestMargin() == null
        ? ""
        : " (smallest margin then %s, of token %d)"
            .formatted(then.smallestMargin().value().value(), then.smallestMargin().token());
  }

  @Override
  public void logits(float[] logits, Baseline.Logits kept, boolean layersSeen) {
    @Nullable Estimate exact = null;
    if (oracle != null && layersSeen) {
      exact = oracle.head(Objects.requireNonNull(hidden));
    } else if (oracle != null) {
      FreePass pass = FreePass.of(architecture, oracle, recorded.tokens());
      exact = pass.logits();
      comparable = Math.min(comparable, pass.firstUnclear());
    }
    var matrix = new Matrix(logits, architecture.vocabSize(), kept.summary(), exact, comparable);
    compare(
        null,
        "logits",
        recorded.logits().summary(),
        matrix,
        matrix.values(recorded.logits().largest()));
    if (comparable == 0 && ties == 0 && drifts.isEmpty()) {
      notCompared.add("logits of sequence " + sequence + ", whose first token rounding may route");
    }
  }

  /** Compares the numbers of a summary, and some more. */
  private void compare(
      @Nullable Integer layer,
      String step,
      Baseline.Summary then,
      Matrix matrix,
      List<Value> more) {
    if (matrix.rows() == 0) {
      return;
    }
    matrices++;
    boolean same = matrix.kept().sha256().equals(then.sha256());
    identical += same ? 1 : 0;
    List<Value> values = new ArrayList<>(matrix.values(then));
    values.addAll(more);
    List<Value> drifted = values.stream().filter(value -> !value.holds()).toList();
    values.stream().filter(Value::holds).forEach(v -> nearest = Math.max(nearest, v.ratio()));
    if (!drifted.isEmpty()) {
      // Of what is no number the ratio is none either, and that sorts last.
      Value worst = drifted.stream().max(Comparator.comparingDouble(Value::ratio)).orElseThrow();
      drifts.add(
          new BaselineReport.Drift(
              sequence,
              layer,
              step,
              drifted.stream().flatMap(v -> v.tokens()).distinct().sorted().toList(),
              drifted.size(),
              values.size(),
              worst.describe(),
              String.valueOf(worst.recorded()),
              String.valueOf(worst.computed()),
              worst.bound(),
              matrix.oracleAgrees()));
    } else if (oracle == null && !same && matrix.rows() == recorded.ids().size()) {
      drifts.add(
          new BaselineReport.Drift(
              sequence,
              layer,
              step,
              List.of(),
              1,
              values.size() + 1,
              "SHA-256 of all elements",
              then.sha256(),
              matrix.kept().sha256(),
              null,
              null));
    }
  }

  /** Compares continuations; where they part, rounding may have decided. */
  void greedy(List<Integer> now) {
    List<Integer> then = recorded.greedy();
    int parting = 0;
    while (parting < then.size() && then.get(parting).equals(now.get(parting))) {
      parting++;
    }
    if (parting == then.size()) {
      return;
    }
    boolean open = comparable < recorded.ids().size();
    if (open && !drifts.isEmpty()) {
      // It follows from what has been reported.
      return;
    }
    if (oracle != null && (open || mayPart(oracle, parting, then.get(parting), now.get(parting)))) {
      notCompared.add(
          "continuation of sequence %d from token %d on, where rounding may choose"
              .formatted(sequence, parting));
      return;
    }
    drifts.add(
        new BaselineReport.Drift(
            sequence,
            null,
            "greedy",
            List.of(parting),
            1,
            then.size(),
            "token",
            then.get(parting).toString(),
            now.get(parting).toString(),
            null,
            null));
  }

  /** Whether, after the tokens that are alike, rounding may make either of two the largest. */
  private boolean mayPart(Oracle exact, int parting, int then, int now) {
    List<Integer> ids = new ArrayList<>(recorded.ids());
    ids.addAll(recorded.greedy().subList(0, parting));
    long[] tokens = ids.stream().mapToLong(Integer::longValue).toArray();
    return FreePass.of(architecture, exact, tokens).mayDecide(endTokens, then, now);
  }
}
