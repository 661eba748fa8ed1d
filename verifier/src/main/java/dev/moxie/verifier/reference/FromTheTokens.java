package dev.moxie.verifier.reference;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Step;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Recorded;
import dev.moxie.verifier.oracle.Sampled;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * The layers, one after the other from the tokens on: the runtime chooses its own experts, the
 * oracle takes those of the reference.
 *
 * @param layers their outputs
 * @param logits the oracle's
 * @param parted the first token for which rounding led the runtime to other experts than the
 *     reference has; T if there is none
 * @param clear tokens before the first whose choice, of experts or positions, rounding may change
 *     at all
 */
record FromTheTokens(List<Output> layers, Estimate logits, int parted, int clear) {

  /**
   * A layer's output.
   *
   * @param comparable tokens before the first that may have gone elsewhere
   */
  @SuppressWarnings("ArrayRecordComponent") // Never compared.
  record Output(float[] own, Estimate exact, int comparable) {}

  /**
   * Computes them.
   *
   * @param chosen the reference's experts, by layer with experts
   * @param tally of the layers alone
   * @param progress is told of each layer
   */
  static FromTheTokens run(
      Sides sides, Map<Integer, List<int[]>> chosen, RoutingTally tally, Progress progress) {
    long[] ids = sides.recorded().ids();
    Estimate hidden = sides.oracle().embed(ids);
    float[] own = sides.parts().embed(ids);
    List<Output> outputs = new ArrayList<>();
    int parted = ids.length;
    int clear = ids.length;
    int decided = ids.length;
    for (int layer : sides.layers()) {
      List<int[]> experts = chosen.get(layer);
      Oracle.Layer exact = sides.oracle().layer(layer, ids, hidden, experts);
      Layers.Result free = sides.parts().layerAlone(layer, ids, own, null);
      Architecture.Blocks blocks = sides.pack().architecture().layers().get(layer);
      decided = Math.min(decided, blocks.reached(exact.firstUndecided(), ids.length));
      clear = Math.min(clear, decided);
      if (experts != null) {
        Selection selection = Selection.of(exact);
        clear = Math.min(clear, blocks.reached(selection.firstUnclear(), ids.length));
        // The same experts may yet have other weights, by as much as one.
        int here = selection.mixes() ? clear : firstParted(selection, free, experts);
        parted = Math.min(parted, blocks.reached(here, ids.length));
      }
      hidden = exact.output();
      own = free.output();
      int together = Math.min(Math.min(parted, decided), tally.firstTiedToken(layer));
      outputs.add(new Output(own, hidden, together));
      progress.done("layer %d from the tokens on".formatted(layer));
    }
    return new FromTheTokens(outputs, sides.oracle().head(hidden), parted, clear);
  }

  private static int firstParted(Selection selection, Layers.Result own, List<int[]> experts) {
    List<Layers.Decision> decisions = Objects.requireNonNull(own.mixture()).decisions();
    for (int t = 0; t < experts.size(); t++) {
      Set<Integer> ours = Selection.set(decisions.get(t).experts());
      Set<Integer> theirs = Selection.set(experts.get(t));
      if (!ours.equals(theirs) && selection.mayChoose(t, ours) && selection.mayChoose(t, theirs)) {
        return t;
      }
    }
    return experts.size();
  }

  /** Tokens before the first at which both sides may have gone their own way. */
  int judged() {
    return layers.getLast().comparable();
  }

  /** The same with errors as large as they get where they have a cause in common. */
  FromTheTokens sampled(Sides sides, Map<Integer, List<int[]>> chosen) {
    List<Estimate> widened =
        Sampled.widen(
            sides.oracle(),
            sides.recorded().ids(),
            layers.stream().map(Output::exact).toList(),
            logits,
            chosen);
    List<Output> outputs = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      Output output = layers.get(i);
      outputs.add(new Output(output.own(), widened.get(i), output.comparable()));
    }
    return new FromTheTokens(outputs, widened.getLast(), parted, clear);
  }

  /** Layers that were checked alone, with what became of them here. */
  List<Report.Layer> beside(List<Report.Layer> alone, Sides sides) {
    List<Report.Layer> both = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      Output output = layers.get(i);
      Comparison accumulated =
          sides.fromTheTokensOn(
              "accumulated",
              output.own(),
              Recorded.name(i, Step.OUTPUT),
              output.exact(),
              output.comparable());
      both.add(alone.get(i).withAccumulated(accumulated));
    }
    return both;
  }
}
