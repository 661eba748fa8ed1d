package dev.moxie.runtime.kernels;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec.Leaf;
import org.jspecify.annotations.Nullable;

/**
 * An activation that a forward pass speaks of, [T, columns]: how it comes about. Nothing computes
 * it until something needs it, so that what comes together can be one launch.
 *
 * @param id no two have the same
 */
record Value(int id, int columns, Operation of) {

  /** What makes a value of others. */
  sealed interface Operation {}

  record Embed(Leaf table) implements Operation {}

  record Linear(Value x, Leaf matrix) implements Operation {}

  record Shift(Value x, Leaf vector) implements Operation {}

  record Scale(Value x, double factor) implements Operation {}

  record Norm(Value x, @Nullable Leaf weight, double epsilon, int size, boolean centred)
      implements Operation {}

  record Clip(Value x, double limit) implements Operation {}

  record Temper(Value x, Attention.Temperature temperature) implements Operation {}

  record Add(Value a, Value b) implements Operation {}

  record Gate(FeedForward.@Nullable Clamp clamp, Value gate, Value up) implements Operation {}

  record Switched(Value x, Value by) implements Operation {}

  record Columns(Value x, int first) implements Operation {}

  record Join(Value a, Value b) implements Operation {}

  record Rotate(Value x, Rotary rotary, int headSize, int first) implements Operation {}

  record Attend(
      int layer, Attention.GroupedQuery attention, Value q, Value k, Value v, @Nullable Leaf sinks)
      implements Operation {}

  record Latent(int layer, Attention.MultiHeadLatent attention, Value q, Value c, Value r, Leaf up)
      implements Operation {}

  record Score(Routing.Score score, Value logits) implements Operation {}

  record Favour(Value scores, Leaf bias) implements Operation {}

  record Limit(Value choice, Routing.Groups groups) implements Operation {}

  record Top(Value choice) implements Operation {}

  record Weigh(
      Value values, Value chosen, Routing.@Nullable Normalisation normalisation, double scale)
      implements Operation {}

  record Mix(Ops.Experts experts, Value x, Value chosen, Value weights) implements Operation {}

  boolean is(Value other) {
    return id == other.id;
  }
}
