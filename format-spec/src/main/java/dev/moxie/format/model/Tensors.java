package dev.moxie.format.model;

import dev.moxie.format.model.TensorSpec.Leaf;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads a forward pass for the tensors that it calls for. What it makes of an activation is its
 * width, which every operation is held to: an architecture whose parts do not fit shows here.
 */
public final class Tensors implements Ops<Long> {
  private final Map<String, TensorSpec> found = new LinkedHashMap<>();

  private Tensors() {}

  /**
   * Every tensor of the architecture, in the order of the forward pass; those of layers for
   * multi-token prediction come last.
   */
  public static List<TensorSpec> of(Architecture architecture) {
    List<TensorSpec> specs = new ArrayList<>(ofForwardPass(architecture));
    specs.addAll(ofPrediction(architecture));
    return specs;
  }

  /** The tensors that the forward pass uses. */
  public static List<TensorSpec> ofForwardPass(Architecture architecture) {
    var tensors = new Tensors();
    new Forward<>(architecture, tensors).logits();
    return List.copyOf(tensors.found.values());
  }

  /** The tensors of the layers for multi-token prediction, numbered after the decoder layers. */
  static List<TensorSpec> ofPrediction(Architecture architecture) {
    var tensors = new Tensors();
    Architecture.Prediction prediction = architecture.prediction();
    var forward = new Forward<>(architecture, tensors);
    for (int i = 0; prediction != null && i < prediction.count(); i++) {
      long hidden = architecture.hiddenSize();
      forward.predictionHead(i, forward.predicted(prediction, i, hidden));
    }
    return List.copyOf(tensors.found.values());
  }

  /** Notes a matrix; its rows are the width of what it makes. */
  private long rows(Leaf matrix, long columns) {
    TensorSpec tensor = matrix.tensor();
    found.put(tensor.name(), tensor);
    require(tensor, matrix.shape().dim(1), columns);
    return matrix.shape().dim(0);
  }

  /** Notes a vector as wide as what it is applied to. */
  private long sized(Leaf vector, long width) {
    TensorSpec tensor = vector.tensor();
    found.put(tensor.name(), tensor);
    require(tensor, vector.shape().dim(0), width);
    return width;
  }

  private static void require(Object where, long expected, long found) {
    if (expected != found) {
      throw new IllegalStateException(where + ": " + found + " wide, not " + expected);
    }
  }

  @Override
  public Long embed(Leaf table) {
    long width = table.shape().dim(1);
    rows(table, width);
    return width;
  }

  @Override
  public Long patches(Architecture.Image image) {
    return (long) image.patchSize();
  }

  @Override
  public Long situate(Long x, Leaf first, Leaf table) {
    require("a table of positions", x, embed(table));
    return sized(first, x);
  }

  @Override
  public Long first(Long x) {
    return x;
  }

  @Override
  public Long linear(Long x, Leaf matrix) {
    return rows(matrix, x);
  }

  @Override
  public Long norm(Long x, Leaf weight, double epsilon) {
    return sized(weight, x);
  }

  @Override
  public Long centredNorm(Long x, Leaf weight, double epsilon) {
    return sized(weight, x);
  }

  @Override
  public Long norms(Long x, @Nullable Leaf weight, double epsilon, int size) {
    require("normed columns", 0, x % size);
    if (weight != null) {
      sized(weight, size);
    }
    return x;
  }

  @Override
  public Long offsetNorms(Long x, Leaf weight, double epsilon, int size) {
    return norms(x, weight, epsilon, size);
  }

  @Override
  public Long shift(Long x, Leaf vector) {
    return sized(vector, x);
  }

  @Override
  public Long scale(Long x, double factor) {
    return x;
  }

  @Override
  public Long times(Long x, Leaf factors) {
    long count = factors.shape().dim(0);
    require("factors", 0, x % count);
    sized(factors, count);
    return x;
  }

  @Override
  public Long cap(Long x, double limit) {
    return x;
  }

  @Override
  public Long clip(Long x, double limit) {
    return x;
  }

  @Override
  public Long temper(Long x, Attention.Temperature temperature) {
    return x;
  }

  @Override
  public Long add(Long a, Long b) {
    require("a sum", a, b);
    return a;
  }

  @Override
  public Long multiply(Long a, Long b) {
    require("a product", 0, a % b);
    return a;
  }

  @Override
  public Long gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Long gate, Long up) {
    require("gate and up", gate, up);
    return gate;
  }

  @Override
  public Long activate(FeedForward.Activation f, Long x) {
    return x;
  }

  @Override
  public Long switched(Attention.Opening f, Long x, Long by) {
    require("switched columns", 0, x % by);
    return x;
  }

  @Override
  public Long columns(Long x, int first, int count) {
    require("columns", Math.max(x, first + (long) count), x);
    return (long) count;
  }

  @Override
  public Long ofHeads(Long x, int headSize, int first, int count) {
    require("heads", 0, x % headSize);
    require("a head", headSize, Math.max(headSize, first + (long) count));
    return x / headSize * count;
  }

  @Override
  public Long join(Long a, Long b) {
    return a + b;
  }

  @Override
  public Long rotate(Long x, Rotary rotary, int headSize, int first) {
    require("heads", 0, x % headSize);
    require("a head", headSize, Math.max(headSize, first + (long) rotary.dimensions()));
    return x;
  }

  @Override
  public Long place(Long x, Architecture.Sinusoids positions) {
    return x;
  }

  @Override
  public void remember(int layer, Attention.Cross cross, Long k, Long v) {
    require("keys", recall(layer, cross, k), v);
  }

  @Override
  public Long recall(int layer, Attention.Cross cross, Long q) {
    require("heads", (long) cross.heads() * cross.headSize(), q);
    return q;
  }

  @Override
  public Long attend(
      int layer,
      Attention.GroupedQuery a,
      Long q,
      Long k,
      Long v,
      @Nullable Long seen,
      @Nullable Leaf sinks,
      @Nullable Leaf distances) {
    require("queries", (long) a.heads() * a.headSize(), q);
    require("keys", (long) a.keyValueHeads() * a.headSize(), k);
    require("values", (long) a.keyValueHeads() * a.valuesOfHead(), v);
    if (sinks != null) {
      sized(sinks, a.heads());
    }
    if (distances != null) {
      require("heads of distances", a.heads(), embed(distances));
    }
    return (long) a.heads() * a.valuesOfHead();
  }

  @Override
  public Long latent(
      int layer,
      Attention.MultiHeadLatent a,
      Long q,
      Long c,
      Long r,
      @Nullable Long seen,
      Leaf up) {
    require("queries", (long) a.heads() * a.headSize(), q);
    require("shared key", a.shared(), r);
    require("keys and values", (long) a.heads() * (a.plainSize() + a.valueSize()), rows(up, c));
    return (long) a.heads() * a.valueSize();
  }

  @Override
  public Long convolve(Long x, Leaf weight) {
    return rows(weight, weight.shape().dim(1));
  }

  @Override
  public Long softplus(Long x, double least) {
    return x;
  }

  @Override
  public Long decay(Long steps, Leaf rate) {
    long rates = rate.shape().dim(0);
    require("steps at one rate", 0, steps % rates);
    sized(rate, rates);
    return Math.max(steps, rate.shape().elements());
  }

  @Override
  public Long recur(States s, Long q, Long k, Long v, Long d, @Nullable Long b) {
    require("queries", s.keys(), q);
    require("keys", s.keys(), k);
    require("values", s.values(), v);
    require("decays", s.decays(), d);
    require("writes", s.valueHeads(), b == null ? s.valueHeads() : b);
    return v;
  }

  @Override
  public Long assign(Leaf table) {
    return embed(table);
  }

  @Override
  public Long grouped(Long x, Leaf matrices, int groups) {
    require("groups", 0, x % groups);
    return rows(matrices, x / groups);
  }

  @Override
  public Long best(Long scores, int count) {
    return (long) count;
  }

  @Override
  public Long byExpert(Long x, Leaf matrices, int experts, Long chosen) {
    long columns = matrices.shape().dim(1);
    require("what experts read", columns, x == columns ? x : x / chosen);
    long rows = rows(matrices, columns);
    require("rows of experts", 0, rows % experts);
    return rows / experts * chosen;
  }

  @Override
  public Long rotateBack(Long x, Rotary rotary, int headSize, int first) {
    return rotate(x, rotary, headSize, first);
  }

  @Override
  public Long rotateToFirst(Long x, Rotary rotary, int headSize, int first, int tokens) {
    return rotate(x, rotary, headSize, first);
  }

  @Override
  public Long compress(Attention.Compression compression, Long c, Long z, Leaf places) {
    require("gates of an entry", c, z);
    require("places of an entry", compression.tokens(), rows(places, c));
    return compression.overlapping() ? c / 2 : c;
  }

  @Override
  public Long compressed(
      int layer,
      Attention.Compressed a,
      Long q,
      Long v,
      @Nullable Long entries,
      @Nullable Long seen,
      Leaf sinks) {
    require("queries", (long) a.heads() * a.headSize(), q);
    require("keys", a.headSize(), v);
    require("entries", v, entries == null ? v : entries);
    sized(sinks, a.heads());
    return q;
  }

  @Override
  public Long connect(Architecture.Streams streams, Long m, Leaf factors, Leaf shift) {
    sized(factors, m == streams.count() ? 1 : 3);
    return sized(shift, m);
  }

  @Override
  public Long gather(Architecture.Streams streams, Long weights, Long h) {
    require("streams", 0, h % streams.count());
    return h / streams.count();
  }

  @Override
  public Long spread(Architecture.Streams streams, Long weights, Long h, Long y) {
    require("streams", h, y * streams.count());
    return h;
  }

  @Override
  public Long choose(int layer, Attention.Indexer n, int every, Long q, Long k, Long w) {
    require("queries of an indexer", (long) n.heads() * n.size(), q);
    require("its keys", n.size(), k);
    require("its weights", n.heads(), w);
    return (long) n.kept();
  }

  @Override
  public Long chooseBlocks(int layer, Attention.BlockIndexer n, Long q, Long k) {
    require("queries of an indexer", (long) n.heads() * n.size(), q);
    require("its keys", n.size(), k);
    return (long) n.heads() * n.kept();
  }

  @Override
  public Long cosine(Routing.Cosine cosine, Long x, Leaf matrix, Leaf temperature) {
    sized(temperature, 1L);
    return linear(x, matrix);
  }

  @Override
  public Long constant(String words, double[] row) {
    return (long) row.length;
  }

  @Override
  public Long score(Routing.Score score, Long logits, int sets) {
    require("sets", 0, logits % sets);
    return logits;
  }

  @Override
  public Long favour(Long scores, Leaf bias) {
    return sized(bias, scores);
  }

  @Override
  public Long limit(Long choice, Routing.Groups groups) {
    require("groups", 0, choice % groups.count());
    return choice;
  }

  @Override
  public Long top(Long choice, int count, int sets) {
    return (long) count;
  }

  @Override
  public Long drop(Long values, Long chosen, Routing.Drops drops) {
    return chosen;
  }

  @Override
  public Long weigh(
      Long values,
      Long chosen,
      @Nullable Long dropped,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    return chosen;
  }

  @Override
  public Long without(Long weights, Long dropped) {
    require("weights", dropped, weights);
    return weights;
  }

  @Override
  public Long compete(Long values, Long chosen, Routing.Mixer mixer, double scale) {
    return chosen;
  }

  @Override
  public Long descend(Routing.Hierarchy hierarchy, Long p, Long s, int count) {
    require("groups", hierarchy.groups(), p);
    require("groups of experts", 0, s % p);
    return (long) count;
  }

  @Override
  public Long share(Routing.Hierarchy hierarchy, Long p, Long s, Long chosen, double scale) {
    return chosen;
  }

  @Override
  public Long factored(Long weights, Long chosen, Leaf factors) {
    require("weights", chosen, weights);
    sized(factors, factors.shape().dim(0));
    return weights;
  }

  @Override
  public Long experts(Experts experts, Long x, Long chosen, Long weights) {
    require("weights", chosen, weights);
    return experts.tasks() * Forward.network(this, x, experts.network(0));
  }

  @Override
  public Long note(Step step, Long x) {
    return x;
  }
}
