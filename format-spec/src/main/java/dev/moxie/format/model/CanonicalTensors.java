package dev.moxie.format.model;

import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.List;

/**
 * Which tensors an architecture calls for. All matrices are in torch Linear orientation, [out, in],
 * so that y = W·x; an expert stack puts the expert first.
 */
public final class CanonicalTensors {
  private CanonicalTensors() {}

  /** Every tensor of the architecture: embedding, layers in order, final norm, head. */
  public static List<TensorSpec> of(Architecture architecture) {
    List<TensorSpec> specs = new ArrayList<>();
    long v = architecture.vocabSize();
    long h = architecture.hiddenSize();
    specs.add(plain("embedding.weight", Role.EMBEDDING, v, h));
    List<Architecture.Blocks> layers = architecture.layers();
    for (int layer = 0; layer < layers.size(); layer++) {
      addLayer(specs, layer, layers.get(layer), h);
    }
    specs.add(plain("final_norm.weight", Role.FINAL_NORM, h));
    if (!architecture.tiedEmbeddings()) {
      specs.add(plain("head.weight", Role.HEAD, v, h));
    }
    return specs;
  }

  private static void addLayer(
      List<TensorSpec> specs, int layer, Architecture.Blocks block, long h) {
    specs.add(inLayer(layer, "attention_norm.weight", Role.ATTENTION_NORM, h));
    switch (block.attention()) {
      case Attention.GroupedQuery a -> {
        long q = (long) a.heads() * a.headSize();
        long kv = (long) a.keyValueHeads() * a.headSize();
        specs.add(inLayer(layer, "attention.query.weight", Role.ATTENTION_QUERY, q, h));
        specs.add(inLayer(layer, "attention.key.weight", Role.ATTENTION_KEY, kv, h));
        specs.add(inLayer(layer, "attention.value.weight", Role.ATTENTION_VALUE, kv, h));
        specs.add(inLayer(layer, "attention.output.weight", Role.ATTENTION_OUTPUT, h, q));
      }
    }
    specs.add(inLayer(layer, "feed_forward_norm.weight", Role.FEED_FORWARD_NORM, h));
    switch (block.feedForward()) {
      case FeedForward.MixtureOfExperts m -> {
        long i = m.intermediateSize();
        specs.add(inLayer(layer, "router.weight", Role.ROUTER, m.experts(), h));
        specs.add(
            stack(
                layer,
                "experts.gate_up.weight",
                Role.EXPERT_GATE_UP,
                new TensorSpec.Stack(m.experts(), List.of(Projection.GATE, Projection.UP), i, h)));
        specs.add(
            stack(
                layer,
                "experts.down.weight",
                Role.EXPERT_DOWN,
                new TensorSpec.Stack(m.experts(), List.of(Projection.DOWN), h, i)));
      }
    }
  }

  private static TensorSpec plain(String name, Role role, long... shape) {
    return new TensorSpec(name, role, null, Shape.of(shape), null);
  }

  private static TensorSpec inLayer(int layer, String name, Role role, long... shape) {
    return new TensorSpec("layers." + layer + "." + name, role, layer, Shape.of(shape), null);
  }

  private static TensorSpec stack(int layer, String name, Role role, TensorSpec.Stack stack) {
    Shape shape =
        Shape.of(stack.experts(), stack.projections().size() * stack.rows(), stack.columns());
    return new TensorSpec("layers." + layer + "." + name, role, layer, shape, stack);
  }
}
