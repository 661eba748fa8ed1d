package dev.moxie.runtime.lowering;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.TensorSpec.Leaf;
import java.util.Arrays;
import java.util.List;

/**
 * The weights of the same model with its experts, and what belongs to each, in another order
 * ({@link ExpertOrder}).
 */
record PermutedWeights(Architecture architecture, Weights of, Graph graph) implements Weights {
  @Override
  public String of(Leaf leaf) {
    return ordered(leaf.tensor(), of.of(leaf));
  }

  @Override
  public String stack(TensorSpec tensor) {
    return ordered(tensor, of.stack(tensor));
  }

  @Override
  public String matrix(Leaf leaf) {
    return ordered(leaf.tensor(), of.matrix(leaf));
  }

  @Override
  public String alternating(TensorSpec tensor) {
    return ordered(tensor, of.alternating(tensor));
  }

  @Override
  public String inF32(Leaf leaf) {
    return ordered(leaf.tensor(), of.inF32(leaf));
  }

  @Override
  public String gathered(Leaf table, String ids) {
    return of.gathered(table, ids);
  }

  /** What has an entry per expert along its first axis, in the other order. */
  private String ordered(TensorSpec tensor, String x) {
    Integer layer = tensor.layer();
    boolean perExpert =
        tensor.stack() != null || tensor.role() == Role.ROUTER || tensor.role() == Role.ROUTER_BIAS;
    if (!perExpert
        || layer == null
        || !(architecture.layers().get(layer).feedForward()
            instanceof FeedForward.MixtureOfExperts moe)) {
      return x;
    }
    long[] order = Arrays.stream(ExpertOrder.of(layer, moe)).asLongStream().toArray();
    return graph.node("Gather", List.of(x, graph.longs(order)));
  }
}
