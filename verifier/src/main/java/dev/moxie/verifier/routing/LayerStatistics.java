package dev.moxie.verifier.routing;

import dev.moxie.runtime.execution.Utilisation;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How one layer routed all tokens of a run; {@link RoutingReport#equations} has the formulas.
 *
 * @param experts E
 * @param utilisation counts, imbalance, entropy, unused and dead experts, collapse
 * @param dropped choices that an expert did not take, since it had all that it takes
 * @param meanWeights mean weight of each expert over the tokens that chose it, [E]; null where none
 *     did
 * @param meanScores P_e, [E]
 * @param loadBalancingLoss E Σ f_e P_e
 * @param smallestMargin of any token; null where nothing is ever rejected
 * @param medianMargin rounded down to 9 significant bits; of an even number of margins the lower
 *     middle one; null where nothing is ever rejected
 * @param withinFloat32 decisions whose two values are so close that storing them in float32 alone
 *     may have decided: the least number of decisions that rounding could change
 */
public record LayerStatistics(
    int layer,
    int experts,
    Utilisation utilisation,
    long dropped,
    List<@Nullable Double> meanWeights,
    List<Double> meanScores,
    double loadBalancingLoss,
    @Nullable Double smallestMargin,
    @Nullable Double medianMargin,
    long withinFloat32) {
  public LayerStatistics {
    meanWeights = Collections.unmodifiableList(new ArrayList<>(meanWeights));
    meanScores = List.copyOf(meanScores);
  }
}
