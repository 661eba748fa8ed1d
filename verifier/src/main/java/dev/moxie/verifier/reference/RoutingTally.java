package dev.moxie.verifier.reference;

import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.Utilisation;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.Agreement;
import dev.moxie.verifier.routing.Decision;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** Classifies routing decisions. Sets of expert ids are compared, never sorted weights. */
final class RoutingTally {
  private final IntPredicate looksAhead;
  private final Map<Integer, Layer> layers = new TreeMap<>();
  private final List<Decision> decisions = new ArrayList<>();
  private final Set<Integer> divergentTokens = new HashSet<>();

  /**
   * One without decisions.
   *
   * @param looksAhead whether what a layer makes of a token depends on tokens after it
   */
  RoutingTally(IntPredicate looksAhead) {
    this.looksAhead = looksAhead;
  }

  /** The decisions of one layer so far. */
  private static final class Layer {
    final int experts;
    final List<int[]> expected = new ArrayList<>();
    final List<@Nullable Double> margins = new ArrayList<>();
    final List<Integer> dropped = new ArrayList<>();
    final StringBuilder verdicts = new StringBuilder();
    long common;
    int firstTied = Integer.MAX_VALUE;

    Layer(int experts) {
      this.experts = experts;
    }

    int count(char verdict) {
      return Math.toIntExact(verdicts.chars().filter(c -> c == verdict).count());
    }

    long chosen() {
      return (long) expected.size() * expected.getFirst().length;
    }

    boolean diverges() {
      return count('M') < verdicts.length();
    }

    Report.LayerRouting report(int layer) {
      return new Report.LayerRouting(
          layer,
          count('M'),
          count('T'),
          count('X'),
          (double) common / chosen(),
          verdicts.toString(),
          margins,
          dropped,
          Utilisation.of(expected, experts));
    }
  }

  /**
   * Adds the next token's decision in one layer.
   *
   * @param dropped whether one of the token's choices is
   * @param experts of the layer
   * @param ours what rounding allows the runtime in that layer
   * @param theirs what it allows the reference
   */
  void add(
      int layer,
      int token,
      Layers.Decision actual,
      int[] expected,
      boolean dropped,
      int experts,
      Selection ours,
      Selection theirs) {
    Layer tally = layers.computeIfAbsent(layer, l -> new Layer(experts));
    Set<Integer> own = Selection.set(actual.experts());
    Set<Integer> other = Selection.set(expected);
    tally.expected.add(expected);
    if (dropped) {
      tally.dropped.add(token);
    }
    double gap = theirs.margin(token);
    @Nullable Double margin = Double.isInfinite(gap) ? null : gap;
    tally.margins.add(margin);
    Set<Integer> shared = new HashSet<>(own);
    shared.retainAll(other);
    tally.common += shared.size();
    Agreement agreement =
        own.equals(other)
            ? Agreement.MATCH
            : ours.mayChoose(token, own) && theirs.mayChoose(token, other)
                ? Agreement.TIE
                : Agreement.MISMATCH;
    decisions.add(
        new Decision(
            token, layer, actual.experts(), actual.weights(), margin, agreement, expected));
    switch (agreement) {
      case MATCH -> tally.verdicts.append('M');
      case TIE -> {
        tally.verdicts.append('T');
        divergentTokens.add(token);
        tally.firstTied = looksAhead.test(layer) ? 0 : Math.min(tally.firstTied, token);
      }
      case MISMATCH -> {
        tally.verdicts.append('X');
        divergentTokens.add(token);
      }
    }
  }

  /** All decisions, by token and then by layer. */
  List<Decision> decisions() {
    return decisions.stream()
        .sorted(Comparator.comparingInt(Decision::token).thenComparingInt(Decision::layer))
        .toList();
  }

  /** The first token with a tie up to a layer; beyond all tokens if there is none. */
  int firstTiedToken(int last) {
    return layers.entrySet().stream()
        .filter(layer -> layer.getKey() <= last)
        .mapToInt(layer -> layer.getValue().firstTied)
        .min()
        .orElse(Integer.MAX_VALUE);
  }

  /** One entry per layer that decided anything. */
  List<Report.LayerRouting> byLayer() {
    return layers.entrySet().stream()
        .map(layer -> layer.getValue().report(layer.getKey()))
        .toList();
  }

  /** All layers together. */
  Report.Routing report() {
    List<Report.LayerRouting> all = byLayer();
    long chosen = layers.values().stream().mapToLong(Layer::chosen).sum();
    long common = layers.values().stream().mapToLong(layer -> layer.common).sum();
    int mismatch = all.stream().mapToInt(Report.LayerRouting::mismatch).sum();
    return new Report.Routing(
        Verdict.of(mismatch == 0),
        all.stream().mapToInt(layer -> layer.decisions().length()).sum(),
        all.stream().mapToInt(Report.LayerRouting::match).sum(),
        all.stream().mapToInt(Report.LayerRouting::tie).sum(),
        mismatch,
        chosen == 0 ? 1 : (double) common / chosen,
        divergentTokens.size(),
        layers.entrySet().stream()
            .filter(layer -> layer.getValue().diverges())
            .map(Map.Entry::getKey)
            .findFirst()
            .orElse(null),
        all.stream()
            .flatMap(layer -> layer.margins().stream())
            .filter(Objects::nonNull)
            .min(Double::compare)
            .orElse(null));
  }
}
