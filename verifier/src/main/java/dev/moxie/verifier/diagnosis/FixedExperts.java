package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Forced;
import dev.moxie.verifier.oracle.Forced.Stage;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Words;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * References that run the same experts for every token, whatever these chose: what was recorded of
 * a layer is the sum of those experts' outputs times the recorded weights. A loop over experts that
 * takes a mask for ids does so; nothing in a package can.
 */
final class FixedExperts {
  /** More sets of experts are not tried. */
  private static final int MOST = 1 << 16;

  private static final int LAYERS_SHOWN = 16;

  private final Forced layer;
  private final Estimate target;
  private final Estimate weights;
  private final List<Estimate> outputs = new ArrayList<>();

  private FixedExperts(Forced layer) {
    this.layer = layer;
    this.target = layer.recorded(Stage.EXPERTS);
    this.weights = layer.recorded(Stage.WEIGHTS);
  }

  /** Which side is wrong, in a sentence, where every layer whose experts differ is such a one. */
  static Optional<String> explain(Evidence evidence, List<Report.Layer> layers) {
    List<Integer> wrong = new ArrayList<>();
    List<Integer> first = List.of();
    for (Report.Layer layer : layers) {
      boolean differs =
          layer.inside().stream()
              .anyMatch(s -> s.name().equals(Stage.EXPERTS.id()) && !s.verdict().passed());
      if (differs) {
        List<Integer> found =
            evidence.budget().isSpent()
                ? List.of()
                : new FixedExperts(evidence.layer(layer.layer())).find();
        if (found.isEmpty()) {
          return Optional.empty();
        }
        wrong.add(layer.layer());
        first = first.isEmpty() ? found : first;
      }
    }
    return wrong.isEmpty()
        ? Optional.empty()
        : Optional.of(
            ("The reference is wrong, not the package: in %s %s it gives every token experts %s,"
                    + " whatever it says that these chose.")
                .formatted(
                    wrong.size() == 1 ? "layer" : "layers",
                    Words.numbers(wrong, LAYERS_SHOWN),
                    Words.numbers(first, first.size())));
  }

  /** Those that every token is given, in the places of its choices; empty if there are none. */
  private List<Integer> find() {
    int experts = layer.moe().experts();
    int k = weights.columns();
    boolean apart = layer.moe().routing().weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_OUTPUT;
    // Of tasks every one is given to all.
    if (!apart || layer.moe().byTask() || Math.pow(experts, k) > MOST || Math.pow(experts, k) < 2) {
      return List.of();
    }
    for (int e = 0; e < experts; e++) {
      outputs.add(layer.expert(e, layer.given(Step.MOE_INPUT)));
    }
    int[] tried = new int[k];
    do {
      if (holds(tried)) {
        return Arrays.stream(tried).boxed().toList();
      }
    } while (next(tried, experts));
    return List.of();
  }

  /** The next set, as numbers count up. */
  private static boolean next(int[] tried, int experts) {
    for (int i = 0; i < tried.length; i++) {
      if (++tried[i] < experts) {
        return true;
      }
      tried[i] = 0;
    }
    return false;
  }

  private boolean holds(int[] experts) {
    long elements = (long) target.rows() * target.columns();
    for (int t = 0; t < target.rows(); t++) {
      for (int c = 0; c < target.columns(); c++) {
        double sum = 0;
        double error = 0;
        for (int i = 0; i < experts.length; i++) {
          Estimate y = outputs.get(experts[i]);
          sum += weights.value(t, i) * y.value(t, c);
          error = Math.hypot(error, weights.value(t, i) * y.error(t, c));
        }
        double rounding = layer.computed(Stage.EXPERTS).error(t, c);
        double bound = Tolerance.bound(Math.hypot(error, rounding), elements);
        if (!(Math.abs(sum - target.value(t, c)) <= bound)) {
          return false;
        }
      }
    }
    return true;
  }
}
