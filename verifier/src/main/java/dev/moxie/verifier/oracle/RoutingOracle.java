package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Shape;
import java.util.List;
import java.util.Objects;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/** The routing equation alone, with a bias that the caller gives. */
public final class RoutingOracle {
  private final Routing routing;
  private final double[] bias;
  private final Precision precision;

  /**
   * A router.
   *
   * @param bias per expert, [E]; unused where the equation has none
   * @param precision of the implementation whose errors are estimated
   */
  public RoutingOracle(Routing routing, double[] bias, Precision precision) {
    this.routing = routing;
    this.bias = bias;
    this.precision = precision;
  }

  /**
   * How T tokens were routed.
   *
   * @param routing the equation
   * @param choice what the experts are chosen by, before any mask, [T, E]
   * @param groups what groups are chosen by, [T, count]; null where there are none
   * @param experts chosen, best first, one array [k] per token
   * @param weights of those, [T, k]
   */
  public record Routed(
      Routing routing,
      Estimate choice,
      @Nullable Estimate groups,
      List<int[]> experts,
      Estimate weights) {}

  /**
   * Routes tokens.
   *
   * @param logits [T, E], after those of groups that have a gate
   * @param replayed the experts of each token where the caller decides them, or a table does; else
   *     null
   */
  public Routed route(Estimate logits, @Nullable List<int[]> replayed) {
    var exact =
        new Exact(
            leaf ->
                routing.assigned()
                    ? WeightMatrix.ids(Objects.requireNonNull(replayed))
                    : WeightMatrix.vector(bias),
            Arithmetic.of(precision),
            LongStream.range(0, logits.rows()).toArray(),
            replayed,
            null);
    var stored =
        new TensorSpec("the bias", Role.ROUTER_BIAS, null, Shape.of(bias.length), null).whole();
    int experts = logits.columns() - routing.primaryLogits();
    Forward.route(exact, routing, experts, logits, stored, null);
    return exact.routed(routing);
  }
}
