package dev.moxie.runtime.lowering;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec.Leaf;
import org.jspecify.annotations.Nullable;

/**
 * A reader for layers that keep keys and values of each token and pass one residual stream on, as
 * it is: what others need besides is refused.
 */
public abstract class WithoutStates<V> implements Ops<V> {
  /** The refusal of a model that needs something. */
  protected abstract UnsupportedException lacks(String what);

  @Override
  public final V times(V x, Leaf factors) {
    throw lacks("activations that are multiplied by stored numbers");
  }

  @Override
  public final V factored(V weights, V chosen, Leaf factors) {
    throw lacks("stored factors of experts' weights");
  }

  @Override
  public final V patches(Architecture.Image image) {
    throw lacks("images");
  }

  @Override
  public final V situate(V x, Leaf first, Leaf table) {
    throw lacks("images");
  }

  @Override
  public final V first(V x) {
    throw lacks("images");
  }

  @Override
  public final V place(V x, Architecture.Sinusoids positions) {
    throw lacks("positions that are added to embeddings");
  }

  @Override
  public final void remember(int layer, Attention.Cross cross, V k, V v) {
    throw lacks("attention to an encoder");
  }

  @Override
  public final V recall(int layer, Attention.Cross cross, V q) {
    throw lacks("attention to an encoder");
  }

  /** What they lack of an attention, if anything. */
  protected final void requireOneWay(Attention.GroupedQuery attention) {
    if (attention.bidirectional() || attention.distances() != null) {
      throw lacks("attention to tokens that come later, or scores that have biases by distance");
    }
  }

  /** They lack experts without weights. */
  protected final void requireWeights(Experts experts) {
    if (experts.identities() > 0) {
      throw lacks("experts that give back what they are given");
    }
  }

  /** Refuses a model whose layers attend more often than keys are kept. */
  public final void requireOneAttention(Architecture architecture) {
    if (architecture.attendsAgain()) {
      throw lacks("layers that attend twice");
    }
  }

  /** They lack a choice from each of several sets of experts. */
  protected final void requireOneSet(int sets) {
    if (sets > 1) {
      throw lacks("experts chosen from each of several prototypes");
    }
  }

  @Override
  public final V cosine(Routing.Cosine cosine, V x, Leaf matrix, Leaf temperature) {
    throw lacks("a router that goes by angles");
  }

  @Override
  public final V descend(Routing.Hierarchy hierarchy, V p, V s, int count) {
    throw lacks("gates of two levels");
  }

  @Override
  public final V share(Routing.Hierarchy hierarchy, V p, V s, V chosen, double scale) {
    throw lacks("gates of two levels");
  }

  @Override
  public final V constant(String words, double[] row) {
    throw lacks("numbers that are the same for every token");
  }

  @Override
  public final V drop(V values, V chosen, Routing.Drops drops) {
    throw lacks("tokens that an expert drops");
  }

  @Override
  public final V without(V weights, V dropped) {
    throw lacks("tokens that an expert drops");
  }

  @Override
  public final V choose(int layer, Attention.Indexer indexer, int every, V q, V k, V w) {
    throw lacks("attention to positions that an indexer chooses");
  }

  @Override
  public final V chooseBlocks(int layer, Attention.BlockIndexer indexer, V q, V k) {
    throw lacks("attention to positions that an indexer chooses");
  }

  @Override
  public final V best(V scores, int count) {
    throw lacks("queries and outputs of experts");
  }

  @Override
  public final V byExpert(V x, Leaf matrices, int experts, V chosen) {
    throw lacks("queries and outputs of experts");
  }

  @Override
  public final V convolve(V x, Leaf weight) {
    throw lacks("a short convolution over tokens");
  }

  @Override
  public final V softplus(V x, double least) {
    throw lacks("steps of a state in time");
  }

  @Override
  public final V decay(V steps, Leaf rate) {
    throw lacks("a state that decays");
  }

  @Override
  public final V recur(States states, V q, V k, V v, V d, @Nullable V b) {
    throw lacks("a state that tokens change");
  }

  @Override
  public final V assign(Leaf table) {
    throw lacks("experts that a table has for a token");
  }

  @Override
  public final V grouped(V x, Leaf matrices, int groups) {
    throw lacks("projections by groups of heads");
  }

  @Override
  public final V rotateBack(V x, Rotary rotary, int headSize, int first) {
    throw lacks("a rotation back");
  }

  @Override
  public final V rotateToFirst(V x, Rotary rotary, int headSize, int first, int tokens) {
    throw lacks("entries of several tokens");
  }

  @Override
  public final V compress(Attention.Compression compression, V c, V z, Leaf places) {
    throw lacks("entries of several tokens");
  }

  @Override
  public final V compressed(
      int layer,
      Attention.Compressed attention,
      V q,
      V v,
      @Nullable V entries,
      @Nullable V seen,
      Leaf sinks) {
    throw lacks("compressed attention");
  }

  @Override
  public final V connect(Architecture.Streams streams, V m, Leaf factors, Leaf shift) {
    throw lacks("several residual streams");
  }

  @Override
  public final V gather(Architecture.Streams streams, V weights, V h) {
    throw lacks("several residual streams");
  }

  @Override
  public final V spread(Architecture.Streams streams, V weights, V h, V y) {
    throw lacks("several residual streams");
  }
}
