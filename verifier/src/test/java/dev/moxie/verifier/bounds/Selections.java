package dev.moxie.verifier.bounds;

import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.RoutingOracle;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Selections from values that a test states. */
public final class Selections {
  private Selections() {}

  public static Selection of(
      int k, Routing.@Nullable Groups limits, Estimate choice, @Nullable Estimate groups) {
    var routing =
        new Routing(
            k,
            Routing.Score.SIGMOID,
            null,
            limits,
            null,
            1,
            Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    return new Selection(new RoutingOracle.Routed(routing, choice, groups, List.of(), choice));
  }
}
