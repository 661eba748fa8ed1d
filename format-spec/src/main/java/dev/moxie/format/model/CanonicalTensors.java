package dev.moxie.format.model;

import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.List;

/**
 * Which tensors an architecture calls for. All matrices are in torch Linear orientation, [out, in],
 * so that y = W·x; an expert stack puts the expert first.
 */
public final class CanonicalTensors {
  private final List<TensorSpec> specs = new ArrayList<>();
  private final long hidden;

  private CanonicalTensors(long hidden) {
    this.hidden = hidden;
  }

  /**
   * Every tensor of the architecture: embedding, layers in order, final norm, head, then the layers
   * for multi-token prediction.
   */
  public static List<TensorSpec> of(Architecture architecture) {
    List<TensorSpec> specs = new ArrayList<>(ofForwardPass(architecture));
    specs.addAll(ofPrediction(architecture));
    return specs;
  }

  /** The tensors that the forward pass uses. */
  static List<TensorSpec> ofForwardPass(Architecture architecture) {
    long v = architecture.vocabSize();
    long h = architecture.hiddenSize();
    var tensors = new CanonicalTensors(h);
    tensors.add("embedding.weight", Role.EMBEDDING, v, h);
    List<Architecture.Blocks> layers = architecture.layers();
    for (int layer = 0; layer < layers.size(); layer++) {
      tensors.layer(layer).addBlock(layers.get(layer).attention(), layers.get(layer).feedForward());
    }
    tensors.add("final_norm.weight", Role.FINAL_NORM, h);
    if (!architecture.tiedEmbeddings()) {
      tensors.add("head.weight", Role.HEAD, v, h);
    }
    return tensors.specs;
  }

  /** The tensors of the layers for multi-token prediction, numbered after the decoder layers. */
  static List<TensorSpec> ofPrediction(Architecture architecture) {
    long v = architecture.vocabSize();
    long h = architecture.hiddenSize();
    var tensors = new CanonicalTensors(h);
    Architecture.Prediction prediction = architecture.prediction();
    int first = architecture.layers().size();
    for (int i = 0; prediction != null && i < prediction.count(); i++) {
      Layer layer = tensors.layer(first + i);
      layer.add("prediction.embedding.weight", Role.PREDICTION_EMBEDDING, v, h);
      layer.add("prediction.embedding_norm.weight", Role.PREDICTION_EMBEDDING_NORM, h);
      layer.add("prediction.hidden_norm.weight", Role.PREDICTION_HIDDEN_NORM, h);
      layer.add("prediction.combine.weight", Role.PREDICTION_COMBINE, h, 2 * h);
      layer.addBlock(prediction.attention(), prediction.feedForward());
      layer.add("prediction.final_norm.weight", Role.PREDICTION_FINAL_NORM, h);
      layer.add("prediction.head.weight", Role.PREDICTION_HEAD, v, h);
    }
    return tensors.specs;
  }

  private void add(String name, Role role, long... shape) {
    specs.add(new TensorSpec(name, role, null, Shape.of(shape), null));
  }

  private Layer layer(int number) {
    return new Layer(number);
  }

  /** The tensors of one layer. */
  private final class Layer {
    private final int number;

    Layer(int number) {
      this.number = number;
    }

    void addBlock(Attention attention, FeedForward feedForward) {
      add("attention_norm.weight", Role.ATTENTION_NORM, hidden);
      switch (attention) {
        case Attention.GroupedQuery a -> addAttention(a);
        case Attention.MultiHeadLatent a -> addAttention(a);
      }
      add("feed_forward_norm.weight", Role.FEED_FORWARD_NORM, hidden);
      switch (feedForward) {
        case FeedForward.Dense d -> {
          long i = d.intermediateSize();
          add("dense.gate.weight", Role.DENSE_GATE, i, hidden);
          add("dense.up.weight", Role.DENSE_UP, i, hidden);
          add("dense.down.weight", Role.DENSE_DOWN, hidden, i);
        }
        case FeedForward.MixtureOfExperts m -> addExperts(m);
      }
    }

    private void addAttention(Attention.GroupedQuery a) {
      long q = (long) a.heads() * a.headSize();
      long kv = (long) a.keyValueHeads() * a.headSize();
      add("attention.query.weight", Role.ATTENTION_QUERY, q, hidden);
      add("attention.key.weight", Role.ATTENTION_KEY, kv, hidden);
      add("attention.value.weight", Role.ATTENTION_VALUE, kv, hidden);
      add("attention.output.weight", Role.ATTENTION_OUTPUT, hidden, q);
    }

    private void addAttention(Attention.MultiHeadLatent a) {
      long heads = a.heads();
      long latent = a.latentSize();
      long q = heads * a.headSize();
      Integer rank = a.queryRank();
      if (rank == null) {
        add("attention.query.weight", Role.ATTENTION_QUERY, q, hidden);
      } else {
        add("attention.query_down.weight", Role.ATTENTION_QUERY_DOWN, rank, hidden);
        add("attention.query_norm.weight", Role.ATTENTION_QUERY_NORM, rank);
        add("attention.query_up.weight", Role.ATTENTION_QUERY_UP, q, rank);
      }
      add(
          "attention.latent_down.weight",
          Role.ATTENTION_LATENT_DOWN,
          latent + a.rotary().dimensions(),
          hidden);
      add("attention.latent_norm.weight", Role.ATTENTION_LATENT_NORM, latent);
      add(
          "attention.latent_up.weight",
          Role.ATTENTION_LATENT_UP,
          heads * (a.plainSize() + a.valueSize()),
          latent);
      add("attention.output.weight", Role.ATTENTION_OUTPUT, hidden, heads * a.valueSize());
    }

    private void addExperts(FeedForward.MixtureOfExperts m) {
      long i = m.intermediateSize();
      add("router.weight", Role.ROUTER, m.experts(), hidden);
      if (m.routing().bias() != null) {
        add("router.bias", Role.ROUTER_BIAS, m.experts());
      }
      if (m.shared() != null) {
        long s = m.shared().intermediateSize();
        add("shared.gate.weight", Role.SHARED_GATE, s, hidden);
        add("shared.up.weight", Role.SHARED_UP, s, hidden);
        add("shared.down.weight", Role.SHARED_DOWN, hidden, s);
      }
      List<Projection> gateUp = List.of(Projection.GATE, Projection.UP);
      addStack(
          "experts.gate_up.weight",
          Role.EXPERT_GATE_UP,
          new TensorSpec.Stack(0, m.experts(), gateUp, i, hidden));
      addStack(
          "experts.down.weight",
          Role.EXPERT_DOWN,
          new TensorSpec.Stack(0, m.experts(), List.of(Projection.DOWN), hidden, i));
    }

    private void add(String name, Role role, long... shape) {
      specs.add(
          new TensorSpec("layers." + number + "." + name, role, number, Shape.of(shape), null));
    }

    private void addStack(String name, Role role, TensorSpec.Stack stack) {
      specs.add(
          new TensorSpec("layers." + number + "." + name, role, number, stack.shape(), stack));
    }
  }
}
