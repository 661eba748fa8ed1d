package dev.moxie.format.model;

import dev.moxie.format.model.TensorSpec.Leaf;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The vocabulary that {@link Forward} is written in. A reader of the forward pass implements it and
 * so decides what comes out: the tensors that are called for ({@link Tensors}), equations for
 * people ({@link Symbols}), numbers, a graph.
 *
 * <p>T tokens stand in the order of their positions. Matrices are [out, in].
 *
 * @param <V> what the reader makes of one activation, [T, width]
 */
public interface Ops<V> {

  /** The row of each token's id, [T, columns of the table]. */
  V embed(Leaf table);

  /** The patches of an image, [T, patchSize]; its first token has none, and zeros here. */
  V patches(Architecture.Image image);

  /**
   * x and the row of a table for each token's position, with a vector for the x of the first token.
   *
   * @param table [positions, columns of x]
   */
  V situate(V x, Leaf first, Leaf table);

  /** What the first token has of x, alone, [1, columns]; nothing of other tokens comes after it. */
  V first(V x);

  /** x and what tokens have by their position ({@link Architecture.Sinusoids}). */
  V place(V x, Architecture.Sinusoids positions);

  /** x · matrixᵀ. */
  V linear(V x, Leaf matrix);

  /** x + vector, row by row. */
  V shift(V x, Leaf vector);

  /** x times a number. */
  V scale(V x, double factor);

  /** weight ∘ x / sqrt(mean(x²) + epsilon), row by row. */
  V norm(V x, Leaf weight, double epsilon);

  /** weight ∘ y / sqrt(mean(y²) + epsilon), y = x − mean(x), row by row. */
  V centredNorm(V x, Leaf weight, double epsilon);

  /**
   * As {@link #norm}, but every {@code size} columns on their own.
   *
   * @param weight [size]; null for ones
   */
  V norms(V x, @Nullable Leaf weight, double epsilon, int size);

  /** As {@link #norms}, but with 1 + weight. */
  V offsetNorms(V x, Leaf weight, double epsilon, int size);

  /**
   * x times stored numbers.
   *
   * @param factors each multiplies as many columns, side by side; one multiplies all of them
   */
  V times(V x, Leaf factors);

  /** limit · tanh(x / limit). */
  V cap(V x, double limit);

  /** Every value held within ±limit. */
  V clip(V x, double limit);

  /** Times a factor that grows with the position ({@link Attention.Temperature}). */
  V temper(V x, Attention.Temperature temperature);

  /** a + b. */
  V add(V a, V b);

  /**
   * a ∘ b.
   *
   * @param b as wide as a, or one number for as many columns, side by side
   */
  V multiply(V a, V b);

  /** f(gate) ∘ up, or what {@link FeedForward.Clamp} makes of them. */
  V gate(FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, V gate, V up);

  /** f(x). */
  V activate(FeedForward.Activation f, V x);

  /**
   * f(by) ∘ x.
   *
   * @param by as wide as x, or one number for each so many neighbouring columns: those of a row, or
   *     of each head
   */
  V switched(Attention.Opening f, V x, V by);

  /**
   * c_0 a + c_1 b, c = softmax(z); a softmax of two numbers is the sigmoid of their difference.
   *
   * @param z [T, 2]
   */
  default V mix(V a, V b, V z) {
    V d = add(columns(z, 0, 1), scale(columns(z, 1, 1), -1));
    V first = switched(Attention.Opening.SIGMOID, a, d);
    return add(first, switched(Attention.Opening.SIGMOID, b, scale(d, -1)));
  }

  /** Columns {@code first} to {@code first + count − 1}. */
  V columns(V x, int first, int count);

  /** The same columns of every head of x, side by side. */
  V ofHeads(V x, int headSize, int first, int count);

  /** The columns of a, then those of b. */
  V join(V a, V b);

  /**
   * Turns pairs of dimensions by their position ({@link Rotary}).
   *
   * @param x heads side by side
   * @param headSize width of a head
   * @param first dimension of every head that is turned; those before it are left as they are
   */
  V rotate(V x, Rotary rotary, int headSize, int first);

  /**
   * softmax({@link Attention.Softmax#softmaxScale} · q kᵀ + mask) v, head by head ({@link
   * Attention.GroupedQuery}).
   *
   * @param layer whose keys and values are kept for later tokens
   * @param q [T, heads · headSize]
   * @param k [T, keyValueHeads · headSize]
   * @param v [T, keyValueHeads · valuesOfHead]
   * @param sinks [heads]; null where the attention has none
   * @param distances [buckets, heads]; likewise
   * @param seen what {@link #chooseBlocks} made; null where heads see what the attention says
   */
  V attend(
      int layer,
      Attention.GroupedQuery attention,
      V q,
      V k,
      V v,
      @Nullable V seen,
      @Nullable Leaf sinks,
      @Nullable Leaf distances);

  /**
   * Keeps what tokens of a decoder see of an encoder's, for {@link #recall}.
   *
   * @param layer of the decoder
   * @param k [S, heads · headSize] of the encoder's tokens
   * @param v [S, heads · headSize]
   */
  void remember(int layer, Attention.Cross cross, V k, V v);

  /**
   * softmax(scale · q kᵀ) v, head by head, over all that was remembered ({@link Attention.Cross}).
   *
   * @param q [T, heads · headSize]
   */
  V recall(int layer, Attention.Cross cross, V q);

  /**
   * The same where keys and values come from a latent ({@link Attention.MultiHeadLatent}): head i
   * has the keys [k_i; r] and the values v_i, [k_i; v_i] = up_i · c.
   *
   * @param layer whose latents are kept for later tokens
   * @param q [T, heads · (plainSize + shared)]
   * @param c [T, latentSize]
   * @param r [T, shared], the same for every head
   * @param seen what {@link #choose} made; null where tokens see all that came before
   * @param up [heads · (plainSize + valueSize), latentSize]
   * @return [T, heads · valueSize]
   */
  V latent(
      int layer, Attention.MultiHeadLatent attention, V q, V c, V r, @Nullable V seen, Leaf up);

  /**
   * Which positions tokens see ({@link Attention.Indexer}), in a form that {@link #latent} takes.
   *
   * @param layer whose keys are kept for later tokens
   * @param q [T, heads · size]
   * @param every only of every so many positions the last has a key
   * @param k [T, size]
   * @param w [T, heads]
   */
  V choose(int layer, Attention.Indexer indexer, int every, V q, V k, V w);

  /**
   * Which blocks of positions heads see ({@link Attention.BlockIndexer}), in a form that {@link
   * #attend} takes.
   *
   * @param layer whose keys are kept for later tokens
   * @param q [T, heads · size]
   * @param k [T, size]
   */
  V chooseBlocks(int layer, Attention.BlockIndexer indexer, V q, V k);

  /**
   * A short convolution: channel by channel, Σ over the last tokens of a weight times x, that of
   * the token itself being the last one. Before the first token there are zeros.
   *
   * @param weight [columns of x, tokens]; what it needs of past tokens is kept for later ones
   */
  V convolve(V x, Leaf weight);

  /**
   * ln(1 + eˣ), or {@code least} where that is more.
   *
   * @param least 0 where there is none
   */
  V softplus(V x, double least);

  /**
   * What a state keeps of itself in a step of time: exp(−exp(rate) · step).
   *
   * @param rate as wide as steps; or of each step several, side by side, [columns of steps, n]; or
   *     one for so many neighbouring steps
   */
  V decay(V steps, Leaf rate);

  /**
   * Reads what every value head keeps, after it was updated: with P = d S, S = P + k wᵀ, then Sᵀ q.
   * What is written, w, is v, or by the delta rule σ(b) (v − Pᵀ k).
   *
   * @param q [T, keyHeads · keySize]
   * @param k [T, keyHeads · keySize]
   * @param v [T, valueHeads · valueSize]
   * @param d [T, valueHeads], or for each row of a state one, [T, valueHeads · keySize]
   * @param b [T, valueHeads]; null without the delta rule
   * @return [T, valueHeads · valueSize]
   */
  V recur(States states, V q, V k, V v, V d, @Nullable V b);

  /**
   * Logits by angles ({@link Routing.Cosine}).
   *
   * @param x [T, size]
   * @param matrix [E, size]
   * @param temperature [1]
   */
  V cosine(Routing.Cosine cosine, V x, Leaf matrix, Leaf temperature);

  /**
   * T rows of the same numbers.
   *
   * @param words what they are, in an equation
   */
  V constant(String words, double[] row);

  /**
   * Scores of all experts.
   *
   * @param logits [T, E]
   * @param sets of neighbouring experts, each of which has scores of its own
   */
  V score(Routing.Score score, V logits, int sets);

  /**
   * What experts are chosen by: their scores plus a stored bias.
   *
   * @param bias [E]
   */
  V favour(V scores, Leaf bias);

  /** The same, masked outside the kept groups ({@link Routing.Groups}). */
  V limit(V choice, Routing.Groups groups);

  /**
   * The experts of each token.
   *
   * @param choice [T, E]
   * @param count k
   * @param sets of neighbouring experts, from each of which as many are chosen
   * @return [T, k], those of one set after those of another, of each the largest first; of equal
   *     ones the lower id
   */
  V top(V choice, int count, int sets);

  /**
   * Which choices are dropped ({@link Routing.Drops}): 1 where one is, 0 where it is kept.
   *
   * @param values that experts were chosen by, [T, E]
   * @param chosen [T, k], best first
   * @return [T, k]
   */
  V drop(V values, V chosen, Routing.Drops drops);

  /**
   * Their weights: values of the chosen, over their sum where they are normalised, times the scale.
   *
   * @param values [T, E]
   * @param chosen [T, k]
   * @param dropped [T, k], whose values count as 0; null where all count
   * @param normalisation null leaves them as they are
   * @return [T, k]
   */
  V weigh(
      V values,
      V chosen,
      @Nullable V dropped,
      Routing.@Nullable Normalisation normalisation,
      double scale);

  /** Weights, and 0 where a choice is dropped. */
  V without(V weights, V dropped);

  /**
   * Their weights where each competes with those near it ({@link Routing.Mixer}), times the scale.
   *
   * @param values [T, E]
   * @param chosen [T, k]
   * @return [T, k]
   */
  V compete(V values, V chosen, Routing.Mixer mixer, double scale);

  /**
   * Of the best groups the best experts ({@link Routing.Hierarchy}).
   *
   * @param p scores of groups, [T, groups]
   * @param s scores of experts, [T, E]
   * @param count k
   * @return [T, k], those of a better group first, of each the better first
   */
  V descend(Routing.Hierarchy hierarchy, V p, V s, int count);

  /**
   * Their weights: the share of their group among the chosen groups, times their own among the
   * chosen of it, times the scale.
   *
   * @param chosen [T, k]
   * @return [T, k]
   */
  V share(Routing.Hierarchy hierarchy, V p, V s, V chosen, double scale);

  /**
   * Weights times the stored factor of each chosen expert.
   *
   * @param weights [T, k]
   * @param chosen [T, k]
   * @param factors [E]
   */
  V factored(V weights, V chosen, Leaf factors);

  /**
   * Σ over a token's chosen experts e of w_e · expert_e(x), or of expert_e(w_e · x) as {@link
   * Experts#weightsApplyTo} says, expert_e being {@link Forward#network} of {@link
   * Experts#network}, or x itself. With several tasks ids e of each have a sum of their own, and
   * expert_e is that of e modulo the number of experts.
   *
   * @param chosen [T, k]
   * @param weights [T, k]
   */
  V experts(Experts experts, V x, V chosen, V weights);

  /**
   * The experts that a table has for each token's id.
   *
   * @param table [V, k]
   * @return [T, k]
   */
  V assign(Leaf table);

  /**
   * Neighbouring columns of x times matrices of their own, side by side.
   *
   * @param matrices [groups · rows, columns of x / groups], one below the other
   */
  V grouped(V x, Leaf matrices, int groups);

  /**
   * The experts of each token that its queries and outputs have, which no trace records.
   *
   * @param scores [T, E]
   * @return [T, count], of equal ones the lower id
   */
  V best(V scores, int count);

  /**
   * The matrices of each token's chosen experts times x, side by side.
   *
   * @param x [T, columns], or for each of the chosen one, side by side
   * @param matrices [experts · rows, columns], one below the other
   * @param chosen [T, k]
   * @return [T, k · rows]
   */
  V byExpert(V x, Leaf matrices, int experts, V chosen);

  /** As {@link #rotate}, but the other way. */
  V rotateBack(V x, Rotary rotary, int headSize, int first);

  /** As {@link #rotate}, but by the position of the first of the {@code tokens} last tokens. */
  V rotateToFirst(V x, Rotary rotary, int headSize, int first, int tokens);

  /**
   * The entry of the window that a token is the last of ({@link Attention.Compression}), before it
   * is normed; what stands in rows of other tokens says nothing.
   *
   * @param c [T, compression.width]; what it needs of past tokens is kept for later ones
   * @param z as wide as c
   * @param places [tokens, width]
   * @return [T, size]
   */
  V compress(Attention.Compression compression, V c, V z, Leaf places);

  /**
   * Softmax over the tokens of the window, entries and a sink ({@link Attention.Compressed}).
   *
   * @param layer whose tokens and entries are kept for later tokens
   * @param q [T, heads · headSize]
   * @param v [T, headSize]
   * @param entries [T, headSize], each in the row of the last token that it is made of; null
   *     without
   * @param seen what {@link #choose} made of keys in such rows; null where all entries are seen
   * @param sinks [heads]
   */
  V compressed(
      int layer,
      Attention.Compressed attention,
      V q,
      V v,
      @Nullable V entries,
      @Nullable V seen,
      Leaf sinks);

  /**
   * How residual streams are read, written and mixed ({@link Architecture.Streams}), or read alone
   * where m has a number for each.
   *
   * @param factors [3], or [1] where they are read alone
   * @param shift as wide as m
   */
  V connect(Architecture.Streams streams, V m, Leaf factors, Leaf shift);

  /** Σ_i p_i h_i. */
  V gather(Architecture.Streams streams, V weights, V h);

  /** q_i y + Σ_j C_ji h_j, streams side by side. */
  V spread(Architecture.Streams streams, V weights, V h, V y);

  /**
   * Says that an activation is a step that has a name.
   *
   * @return what the pass goes on with: x, unless the reader knows better
   */
  V note(Step step, V x);

  /**
   * What the heads of a layer keep, each a matrix [keySize, valueSize], which begins at zero. Value
   * head i reads and writes by query and key i · keyHeads / valueHeads.
   *
   * @param byRow whether each row decays by itself
   */
  record States(int keyHeads, int valueHeads, int keySize, int valueSize, boolean byRow) {
    /** Width of all queries, or of all keys. */
    public long keys() {
      return (long) keyHeads * keySize;
    }

    /** Width of all values. */
    public long values() {
      return (long) valueHeads * valueSize;
    }

    /** How many numbers say what the states keep. */
    public long decays() {
      return byRow ? (long) valueHeads * keySize : valueHeads;
    }
  }

  /**
   * All experts of a layer.
   *
   * @param gateUp [E, 2I, H], or [E, I, H] where experts have no gate
   * @param down [E, H, I], or with tasks [E, H / tasks, I]
   * @param biases null where there are none
   * @param identities experts of the ids after those, which give back what they are given
   * @param tasks sums that stand side by side, of E ids each; 1 where there is one
   */
  record Experts(
      TensorSpec gateUp,
      TensorSpec down,
      @Nullable ExpertBiases biases,
      FeedForward.Activation activation,
      FeedForward.@Nullable Clamp clamp,
      Routing.WeightsApplyTo weightsApplyTo,
      int identities,
      int tasks) {
    /** How many have matrices, E. */
    public int count() {
      return Objects.requireNonNull(down.stack()).experts();
    }

    /** The matrices of one of them. */
    public Network network(int expert) {
      return new Network(
          gate(gateUp, expert),
          gateUp.leaf(expert, Projection.UP),
          down.leaf(expert, Projection.DOWN),
          biases == null ? null : biases.of(expert),
          activation,
          clamp);
    }

    private static @Nullable Leaf gate(TensorSpec gateUp, int expert) {
      List<Projection> projections = Objects.requireNonNull(gateUp.stack()).projections();
      return projections.contains(Projection.GATE) ? gateUp.leaf(expert, Projection.GATE) : null;
    }
  }

  /**
   * The biases of all experts of a layer.
   *
   * @param gateUp [E, 2I], or [E, I]
   * @param down [E, H]
   */
  record ExpertBiases(TensorSpec gateUp, TensorSpec down) {
    private Biases of(int expert) {
      return new Biases(
          Experts.gate(gateUp, expert),
          gateUp.leaf(expert, Projection.UP),
          down.leaf(expert, Projection.DOWN));
    }
  }

  /**
   * What is added to the products of a network.
   *
   * @param gate [I]; null where the network has no gate
   * @param up [I]
   * @param down [H]
   */
  record Biases(@Nullable Leaf gate, Leaf up, Leaf down) {}

  /**
   * A network.
   *
   * @param gate [I, H]; null where it has none
   * @param up [I, H]
   * @param down [H, I]
   * @param biases null where there are none
   */
  record Network(
      @Nullable Leaf gate,
      Leaf up,
      Leaf down,
      @Nullable Biases biases,
      FeedForward.Activation activation,
      FeedForward.@Nullable Clamp clamp) {}
}
