package dev.moxie.verifier.reference;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Step;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Sampled;
import dev.moxie.verifier.oracle.Texts;
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
    Texts texts = sides.recorded().texts();
    Oracle oracle = sides.oracle();
    Estimate hidden = oracle.embed(texts.of(0));
    float[] own = sides.parts().embed(texts.of(0));
    int tokens = sides.tokens();
    List<Output> outputs = new ArrayList<>();
    int parted = Integer.MAX_VALUE;
    int clear = Integer.MAX_VALUE;
    int decided = Integer.MAX_VALUE;
    for (int layer : sides.layers()) {
      List<int[]> experts = chosen.get(layer);
      long[] ids = texts.of(layer);
      if (texts.begin(layer)) {
        oracle = oracle.reading(hidden);
        hidden = oracle.embed(ids);
        sides.parts().read(own);
        own = sides.parts().embed(ids);
      }
      Oracle.Layer exact = oracle.layer(layer, ids, hidden, experts);
      Layers.Result free = sides.parts().layerAlone(layer, ids, own, null);
      Architecture.Blocks blocks = sides.pack().architecture().layers().get(layer);
      decided = Math.min(decided, reached(blocks, exact.firstUndecided(), ids.length));
      clear = Math.min(clear, decided);
      if (experts != null) {
        Selection selection = Selection.of(exact);
        clear = Math.min(clear, reached(blocks, selection.firstUnclear(), ids.length));
        // The same experts may yet have other weights, by as much as one.
        int here = selection.mixes() ? clear : firstParted(selection, free, experts);
        parted = Math.min(parted, reached(blocks, here, ids.length));
      }
      hidden = exact.output();
      own = free.output();
      int together = Math.min(Math.min(parted, decided), tally.firstTiedToken(layer));
      together = Math.min(together, ids.length);
      outputs.add(new Output(own, hidden, together));
      progress.done("layer %d from the tokens on".formatted(layer));
    }
    Estimate logits = sides.oracle().head(hidden);
    return new FromTheTokens(outputs, logits, Math.min(parted, tokens), Math.min(clear, tokens));
  }

  /** The first token that something happens to, of those of all layers; none is the last one. */
  private static int reached(Architecture.Blocks blocks, int token, int tokens) {
    return token < tokens ? blocks.reached(token, tokens) : Integer.MAX_VALUE;
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
            sides.recorded().texts(),
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
              sides.recorded().name(i, Step.OUTPUT),
              output.exact(),
              output.comparable());
      both.add(alone.get(i).withAccumulated(accumulated));
    }
    return both;
  }
}
