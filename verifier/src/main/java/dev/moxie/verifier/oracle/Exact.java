package dev.moxie.verifier.oracle;

import static dev.moxie.verifier.oracle.Arithmetic.norm2;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.format.model.TensorSpec.Leaf;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.DoublePredicate;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.function.IntToDoubleFunction;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Reads a forward pass in double precision, each value with its error ({@link Arithmetic}). Of the
 * layer read last it remembers the named steps and how its tokens were routed.
 */
final class Exact implements Ops<Estimate> {
  private final Function<Leaf, WeightMatrix> weights;
  private final Arithmetic arithmetic;
  private final Arithmetic scoring;
  private final AttentionArithmetic attention;
  private final StateArithmetic states;
  private final EntryArithmetic entries;
  private final StreamArithmetic streams;
  private final long[] tokens;
  private final @Nullable List<int[]> replayed;
  private final @Nullable Memory memory;
  private final Map<Step, Estimate> steps = new EnumMap<>(Step.class);
  private @Nullable Estimate choice;
  private @Nullable Estimate groups;
  private List<ChosenPositions> chosen = List.of();
  private final BitSet mixed = new BitSet();
  private final BitSet ofHeads = new BitSet();
  private List<int[]> experts = List.of();
  private final Map<Integer, Estimate[]> remembered = new HashMap<>();
  private @Nullable Estimate image;

  /**
   * A reader.
   *
   * @param tokens whose rows of an embedding are meant
   * @param replayed the experts of each token where the caller decides them, else null
   * @param memory of what was computed before; null without
   */
  Exact(
      Function<Leaf, WeightMatrix> weights,
      Arithmetic arithmetic,
      long[] tokens,
      @Nullable List<int[]> replayed,
      @Nullable Memory memory) {
    this.weights = weights;
    this.arithmetic = arithmetic;
    // The routing equation is computed in float32; only the weights are stored as all else is.
    this.scoring = Arithmetic.of(Precision.F32).with(arithmetic.noise());
    this.attention = new AttentionArithmetic(arithmetic);
    this.states = new StateArithmetic(arithmetic);
    this.entries = new EntryArithmetic(arithmetic);
    this.streams = new StreamArithmetic(arithmetic);
    this.tokens = tokens;
    this.replayed = replayed;
    this.memory = memory;
  }

  /**
   * The same reader.
   *
   * @param patches of an image, of all tokens but the first; null where it reads no image
   */
  Exact seeing(@Nullable Estimate patches) {
    image = patches;
    return this;
  }

  /** An operation, unless it was done before. */
  private Estimate once(Supplier<Estimate> operation, @Nullable Object... inputs) {
    return memory == null ? operation.get() : memory.get(operation, inputs);
  }

  /** A step of the layer read last. */
  Estimate step(Step step) {
    return Objects.requireNonNull(steps.get(step), step.id());
  }

  /** All of them, in the order of computation. */
  Map<Step, Estimate> steps() {
    return steps;
  }

  /** How the tokens were routed last. */
  RoutingOracle.Routed routed(Routing routing) {
    return new RoutingOracle.Routed(
        routing, Objects.requireNonNull(choice), groups, experts, step(Step.ROUTER_WEIGHTS));
  }

  @Override
  public Estimate note(Step step, Estimate x) {
    steps.put(step, x);
    return x;
  }

  @Override
  public Estimate embed(Leaf table) {
    WeightMatrix matrix = weights.apply(table);
    var hidden = new Estimate(tokens.length, matrix.columns());
    double[] row = new double[matrix.columns()];
    for (int t = 0; t < tokens.length; t++) {
      matrix.read(Math.toIntExact(tokens[t]), row);
      for (int c = 0; c < row.length; c++) {
        hidden.set(t, c, row[c], matrix.roundingOf(Math.toIntExact(tokens[t]), c, row[c]));
      }
    }
    return arithmetic.settle(hidden);
  }

  @Override
  public Estimate patches(Architecture.Image of) {
    Estimate patches = Objects.requireNonNull(image, "an image");
    var seen = new Estimate(tokens.length, of.patchSize());
    for (int t = 1; t < tokens.length; t++) {
      seen.copyRow(patches, t - 1, t);
    }
    return seen;
  }

  @Override
  public Estimate situate(Estimate x, Leaf first, Leaf table) {
    return arithmetic.situate(x, weights.apply(first), weights.apply(table));
  }

  @Override
  public Estimate first(Estimate x) {
    return x.beginning(1);
  }

  @Override
  public Estimate linear(Estimate x, Leaf matrix) {
    WeightMatrix w = weights.apply(matrix);
    return once(() -> arithmetic.linear(x, w), "linear", x, w);
  }

  @Override
  public Estimate norm(Estimate x, Leaf weight, double epsilon) {
    WeightMatrix w = weights.apply(weight);
    return once(() -> arithmetic.norm(x, w, epsilon), "norm", x, w, epsilon);
  }

  @Override
  public Estimate centredNorm(Estimate x, Leaf weight, double epsilon) {
    return norm(once(() -> arithmetic.centred(x), "centred", x), weight, epsilon);
  }

  @Override
  public Estimate norms(Estimate x, @Nullable Leaf weight, double epsilon, int size) {
    WeightMatrix w = weight == null ? WeightMatrix.ones(size) : weights.apply(weight);
    return once(
        () -> arithmetic.norm(x.folded(size), w, epsilon).folded(x.columns()),
        "norms",
        x,
        w,
        epsilon,
        size);
  }

  @Override
  public Estimate offsetNorms(Estimate x, Leaf weight, double epsilon, int size) {
    WeightMatrix w = weights.apply(weight);
    return once(
        () -> arithmetic.norm(x.folded(size), w.plus(1), epsilon).folded(x.columns()),
        "offset norms",
        x,
        w,
        epsilon,
        size);
  }

  @Override
  public Estimate shift(Estimate x, Leaf vector) {
    WeightMatrix w = weights.apply(vector);
    return once(() -> arithmetic.shift(x, w), "shift", x, w);
  }

  @Override
  public Estimate scale(Estimate x, double factor) {
    return once(() -> arithmetic.scale(x, factor), "scale", x, factor);
  }

  @Override
  public Estimate times(Estimate x, Leaf factors) {
    WeightMatrix w = weights.apply(factors);
    return once(() -> arithmetic.times(x, w), "times", x, w);
  }

  @Override
  public Estimate cap(Estimate x, double limit) {
    return once(() -> arithmetic.cap(x, limit), "cap", x, limit);
  }

  @Override
  public Estimate clip(Estimate x, double limit) {
    return once(() -> arithmetic.clip(x, limit), "clip", x, limit);
  }

  @Override
  public Estimate temper(Estimate x, Attention.Temperature temperature) {
    return once(() -> attention.temper(temperature, x), "temper", x, temperature);
  }

  @Override
  public Estimate add(Estimate a, Estimate b) {
    return once(() -> arithmetic.sum(a, b), "add", a, b);
  }

  @Override
  public Estimate multiply(Estimate a, Estimate b) {
    return once(() -> arithmetic.product(a, b), "multiply", a, b);
  }

  @Override
  public Estimate gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Estimate gate, Estimate up) {
    return clamp == null ? arithmetic.gated(f, gate, up) : arithmetic.gated(clamp, gate, up);
  }

  @Override
  public Estimate activate(FeedForward.Activation f, Estimate x) {
    return once(() -> arithmetic.activated(f, x), "activated", f, x);
  }

  @Override
  public Estimate switched(Attention.Opening f, Estimate x, Estimate by) {
    return arithmetic.switched(f, x, by);
  }

  @Override
  public Estimate columns(Estimate x, int first, int count) {
    return once(() -> x.part(first, count), "columns", x, first, count);
  }

  @Override
  public Estimate ofHeads(Estimate x, int headSize, int first, int count) {
    int heads = x.columns() / headSize;
    return once(
        () -> x.folded(headSize).part(first, count).folded(heads * count),
        "of heads",
        x,
        headSize,
        first,
        count);
  }

  @Override
  public Estimate join(Estimate a, Estimate b) {
    var joined = new Estimate(a.rows(), a.columns() + b.columns());
    joined.copy(a, 0, a.columns(), 0);
    joined.copy(b, 0, b.columns(), a.columns());
    return joined;
  }

  @Override
  public Estimate rotate(Estimate x, Rotary rotary, int headSize, int first) {
    return once(
        () -> attention.rotate(rotary, x, first, headSize), "rotate", rotary, x, first, headSize);
  }

  @Override
  public Estimate attend(
      int layer,
      Attention.GroupedQuery a,
      Estimate q,
      Estimate k,
      Estimate v,
      @Nullable Estimate blocks,
      @Nullable Leaf sinks,
      @Nullable Leaf distances) {
    WeightMatrix s = sinks == null ? null : weights.apply(sinks);
    WeightMatrix d = distances == null ? null : weights.apply(distances);
    Attention.BlockIndexer n = a.blockIndexer();
    List<ChosenPositions> some =
        n == null || blocks == null
            ? List.of()
            : IntStream.range(0, n.heads())
                .mapToObj(g -> ChosenPositions.ofBlocks(n, blocks, g))
                .toList();
    chosen = some;
    Seen all = a.bidirectional() ? Seen.every(k.rows()) : Seen.from(a::firstSeen);
    IntFunction<Seen> seen =
        some.isEmpty() ? head -> all : head -> some.get(head * some.size() / a.heads());
    return once(
        () -> attention.attend(a, seen, q, k, v, a.keyValueHeads(), s, d),
        "attend",
        a,
        q,
        k,
        v,
        blocks,
        s,
        d);
  }

  /** The scores of all blocks, [T, heads · blocks]; those of later ones say nothing. */
  @Override
  public Estimate chooseBlocks(int layer, Attention.BlockIndexer n, Estimate q, Estimate k) {
    return once(() -> new AttentionArithmetic(scoring).index(n, q, k), "chooseBlocks", n, q, k);
  }

  @Override
  public void remember(int layer, Attention.Cross cross, Estimate k, Estimate v) {
    remembered.put(layer, new Estimate[] {k, v});
  }

  @Override
  public Estimate recall(int layer, Attention.Cross cross, Estimate q) {
    Estimate[] kept = Objects.requireNonNull(remembered.get(layer), "what an encoder leaves");
    Estimate k = kept[0];
    Estimate v = kept[1];
    Attention.GroupedQuery a = cross.attention();
    return once(
        () -> attention.attend(a, head -> Seen.every(k.rows()), q, k, v, a.heads(), null, null),
        "recall",
        a,
        q,
        k,
        v);
  }

  @Override
  public Estimate place(Estimate x, Architecture.Sinusoids positions) {
    return arithmetic.settle(attention.place(positions, tokens, x));
  }

  @Override
  public Estimate latent(
      int layer,
      Attention.MultiHeadLatent a,
      Estimate q,
      Estimate c,
      Estimate r,
      @Nullable Estimate seen,
      Leaf up) {
    WeightMatrix w = weights.apply(up);
    Attention.Indexer indexer = a.indexer();
    ChosenPositions some =
        indexer == null || seen == null ? null : ChosenPositions.of(seen, indexer.kept(), 1);
    chosen = some == null ? List.of() : List.of(some);
    return once(
        () -> attention.latent(a, some == null ? Seen.ALL : some, q, c, r, w),
        "latent",
        a,
        q,
        c,
        r,
        seen,
        w);
  }

  /** The scores of all positions, [T, T]; those of later ones say nothing. */
  @Override
  public Estimate choose(
      int layer, Attention.Indexer n, int every, Estimate q, Estimate k, Estimate w) {
    Estimate keys = every == 1 ? k : EntryArithmetic.closing(k, every);
    return once(
        () -> new AttentionArithmetic(scoring).index(n, every, q, keys, w),
        "choose",
        n,
        every,
        q,
        k,
        w);
  }

  /**
   * Tokens whose positions or heads rounding may have chosen, or whom their experts compete with,
   * in the layer read last.
   */
  BitSet undecided() {
    BitSet tokens = new BitSet();
    chosen.forEach(seen -> tokens.or(seen.undecided()));
    tokens.or(mixed);
    tokens.or(ofHeads);
    return tokens;
  }

  @Override
  public Estimate convolve(Estimate x, Leaf weight) {
    WeightMatrix w = weights.apply(weight);
    return once(() -> states.convolve(x, w), "convolve", x, w);
  }

  @Override
  public Estimate softplus(Estimate x, double least) {
    return once(() -> states.softplus(x, least), "softplus", x, least);
  }

  @Override
  public Estimate decay(Estimate steps, Leaf rate) {
    WeightMatrix w = weights.apply(rate);
    return once(() -> states.decay(steps, w), "decay", steps, w);
  }

  @Override
  public Estimate recur(
      States s, Estimate q, Estimate k, Estimate v, Estimate d, @Nullable Estimate b) {
    return once(() -> states.recur(s, q, k, v, d, b), "recur", s, q, k, v, d, b);
  }

  @Override
  public Estimate assign(Leaf table) {
    WeightMatrix matrix = weights.apply(table);
    double[] row = new double[matrix.columns()];
    List<int[]> assigned = new ArrayList<>();
    var named = new Estimate(tokens.length, Objects.requireNonNull(choice).columns());
    for (int t = 0; t < tokens.length; t++) {
      matrix.read(Math.toIntExact(tokens[t]), row);
      assigned.add(Arrays.stream(row).mapToInt(id -> (int) id).toArray());
      for (double expert : row) {
        named.set(t, (int) expert, 1, 0);
      }
    }
    // Those that the table names are chosen, whatever the scores.
    choice = named;
    experts = replayed == null ? assigned : replayed;
    return Estimate.of(experts);
  }

  @Override
  public Estimate grouped(Estimate x, Leaf matrices, int groups) {
    WeightMatrix w = weights.apply(matrices);
    int rows = w.rows() / groups;
    var result = new Estimate(x.rows(), w.rows());
    eachRow(
        w,
        (r, row, rounding) -> {
          for (int t = 0; t < x.rows(); t++) {
            arithmetic.dot(x, t, r / rows * row.length, row, rounding, result, r);
          }
        });
    return arithmetic.settle(result);
  }

  /** Takes a row of a matrix, and how far each of its numbers is rounded. */
  @FunctionalInterface
  private interface Row {
    void take(int number, double[] row, double[] rounding);
  }

  private static void eachRow(WeightMatrix w, Row to) {
    double[] row = new double[w.columns()];
    double[] rounding = new double[row.length];
    for (int r = 0; r < w.rows(); r++) {
      w.read(r, row);
      for (int c = 0; c < row.length; c++) {
        rounding[c] = w.roundingOf(r, c, row[c]);
      }
      to.take(r, row, rounding);
    }
  }

  @Override
  public Estimate best(Estimate scores, int count) {
    ofHeads.clear();
    List<int[]> best = new ArrayList<>();
    for (int t = 0; t < scores.rows(); t++) {
      int token = t;
      int[] order = descending(scores.columns(), e -> scores.value(token, e));
      best.add(Arrays.copyOf(order, count));
      if (ChosenPositions.undecided(scores, t, order, count).length > 0) {
        ofHeads.set(t);
      }
    }
    return Estimate.of(best);
  }

  @Override
  public Estimate byExpert(Estimate x, Leaf matrices, int experts, Estimate chosen) {
    WeightMatrix w = weights.apply(matrices);
    int rows = w.rows() / experts;
    var result = new Estimate(x.rows(), rows * chosen.columns());
    int apart = x.columns() == w.columns() ? 0 : w.columns();
    eachRow(
        w,
        (r, row, rounding) -> {
          int matrix = r / rows;
          for (int t = 0; t < x.rows(); t++) {
            for (int i = 0; i < chosen.columns(); i++) {
              if (chosen.value(t, i) == matrix) {
                arithmetic.dot(x, t, i * apart, row, rounding, result, i * rows + r % rows);
              }
            }
          }
        });
    return arithmetic.settle(result);
  }

  @Override
  public Estimate rotateBack(Estimate x, Rotary rotary, int headSize, int first) {
    return attention.rotate(rotary, x, first, headSize, t -> -t);
  }

  @Override
  public Estimate rotateToFirst(Estimate x, Rotary rotary, int headSize, int first, int count) {
    return attention.rotate(rotary, x, first, headSize, t -> Math.max(0, t + 1 - count));
  }

  @Override
  public Estimate compress(Attention.Compression n, Estimate c, Estimate z, Leaf places) {
    WeightMatrix w = weights.apply(places);
    return once(() -> entries.compress(n, c, z, w), "compress", n, c, z, w);
  }

  @Override
  public Estimate compressed(
      int layer,
      Attention.Compressed a,
      Estimate q,
      Estimate v,
      @Nullable Estimate some,
      @Nullable Estimate seen,
      Leaf sinks) {
    WeightMatrix s = weights.apply(sinks);
    Attention.Compression n = a.compression();
    Attention.Indexer indexer = n == null ? null : n.indexer();
    ChosenPositions positions =
        n == null || indexer == null || seen == null
            ? null
            : ChosenPositions.of(seen, indexer.kept(), n.tokens());
    chosen = positions == null ? List.of() : List.of(positions);
    return once(
        () -> entries.attend(a, q, v, some, positions, s), "compressed", a, q, v, some, seen, s);
  }

  @Override
  public Estimate connect(Architecture.Streams s, Estimate m, Leaf factors, Leaf shift) {
    WeightMatrix f = weights.apply(factors);
    WeightMatrix b = weights.apply(shift);
    return once(() -> streams.connect(s, m, f, b), "connect", s, m, f, b);
  }

  @Override
  public Estimate gather(Architecture.Streams s, Estimate weights, Estimate h) {
    return once(() -> streams.gather(s, weights, h), "gather", s, weights, h);
  }

  @Override
  public Estimate spread(Architecture.Streams s, Estimate weights, Estimate h, Estimate y) {
    return once(() -> streams.spread(s, weights, h, y), "spread", s, weights, h, y);
  }

  @Override
  public Estimate cosine(Routing.Cosine cosine, Estimate x, Leaf matrix, Leaf temperature) {
    WeightMatrix w = weights.apply(matrix);
    WeightMatrix t = weights.apply(temperature);
    return once(() -> arithmetic.cosine(x, w, t, cosine.most()), "cosine", cosine, x, w, t);
  }

  @Override
  public Estimate constant(String words, double[] row) {
    var constant = new Estimate(tokens.length, row.length);
    for (int t = 0; t < tokens.length; t++) {
      for (int c = 0; c < row.length; c++) {
        // What no float holds is a function's value.
        double error = Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u() * Math.abs(row[c]);
        constant.set(t, c, row[c], (float) row[c] == row[c] ? 0 : error);
      }
    }
    return constant;
  }

  @Override
  public Estimate score(Routing.Score score, Estimate logits, int sets) {
    Estimate each = logits.folded(logits.columns() / sets);
    var scored = new Estimate(each.rows(), each.columns());
    for (int t = 0; t < each.rows(); t++) {
      switch (score) {
        case SOFTMAX -> scored.copyRow(scoring.softmax(each, t), 0, t);
        case SIGMOID -> scored.copyRow(scoring.sigmoid(each, t), 0, t);
        case SQRT_SOFTPLUS -> scored.copyRow(scoring.sqrtSoftplus(each, t), 0, t);
        case IDENTITY, ONE -> scored.copyRow(each, t, t);
      }
    }
    Estimate scores = scored.folded(logits.columns());
    choice = scores;
    groups = null;
    return scores;
  }

  @Override
  public Estimate favour(Estimate scores, Leaf bias) {
    double[] b = new double[scores.columns()];
    weights.apply(bias).read(0, b);
    var biased = new Estimate(scores.rows(), scores.columns());
    for (int t = 0; t < scores.rows(); t++) {
      for (int e = 0; e < b.length; e++) {
        double c = scores.value(t, e) + b[e];
        biased.set(t, e, c, norm2(scores.error(t, e), scoring.u() * c, 0));
      }
    }
    choice = biased;
    return biased;
  }

  @Override
  public Estimate limit(Estimate unlimited, Routing.Groups limits) {
    int size = unlimited.columns() / limits.count();
    var aggregates = new Estimate(unlimited.rows(), limits.count());
    var limited = new Estimate(unlimited.rows(), unlimited.columns());
    for (int t = 0; t < unlimited.rows(); t++) {
      aggregate(limits, unlimited, t, aggregates);
      limited.copyRow(unlimited, t, t);
      int token = t;
      int[] order = descending(limits.count(), g -> aggregates.value(token, g));
      double mask =
          switch (limits.maskValue()) {
            case ZERO -> 0;
            case NEGATIVE_INFINITY -> Double.NEGATIVE_INFINITY;
          };
      for (int i = limits.kept(); i < order.length; i++) {
        for (int e = order[i] * size; e < (order[i] + 1) * size; e++) {
          limited.set(t, e, mask, 0);
        }
      }
    }
    groups = aggregates;
    return limited;
  }

  private void aggregate(Routing.Groups limits, Estimate values, int t, Estimate aggregates) {
    int size = values.columns() / limits.count();
    for (int g = 0; g < limits.count(); g++) {
      int first = g * size;
      int[] order = descending(size, i -> values.value(t, first + i));
      int best = first + order[0];
      switch (limits.aggregate()) {
        case MAXIMUM -> aggregates.set(t, g, values.value(t, best), values.error(t, best));
        case SUM_OF_TOP_TWO -> {
          int second = first + order[1];
          double sum = values.value(t, best) + values.value(t, second);
          double error = norm2(values.error(t, best), values.error(t, second), scoring.u() * sum);
          aggregates.set(t, g, sum, error);
        }
      }
    }
  }

  @Override
  public Estimate top(Estimate values, int count, int sets) {
    List<int[]> chosen = replayed;
    if (chosen == null) {
      chosen = new ArrayList<>();
      for (int t = 0; t < values.rows(); t++) {
        int token = t;
        int size = values.columns() / sets;
        chosen.add(
            IntStream.range(0, sets)
                .map(set -> set * size)
                .flatMap(
                    first ->
                        Arrays.stream(descending(size, e -> values.value(token, first + e)))
                            .limit(count / sets)
                            .map(e -> first + e))
                .toArray());
      }
    }
    experts = chosen;
    return Estimate.of(chosen);
  }

  /** Indices by falling value; of equal ones the lower first. */
  static int[] descending(int count, IntToDoubleFunction value) {
    return IntStream.range(0, count)
        .boxed()
        .sorted(
            (a, b) -> {
              int byValue = Double.compare(value.applyAsDouble(b), value.applyAsDouble(a));
              return byValue != 0 ? byValue : Integer.compare(a, b);
            })
        .mapToInt(Integer::intValue)
        .toArray();
  }

  @Override
  public Estimate drop(Estimate values, Estimate chosen, Routing.Drops drops) {
    int capacity = drops.capacity(chosen.rows());
    int[] waiting = new int[values.columns()];
    var dropped = new Estimate(chosen.rows(), chosen.columns());
    int[] order = order(values, chosen, drops.order());
    for (int i = 0; i < chosen.columns(); i++) {
      for (int t : order) {
        dropped.set(t, i, waiting[(int) chosen.value(t, i)]++ < capacity ? 0 : 1, 0);
      }
    }
    if (drops.order() == Routing.Drops.Order.CHOICE_THEN_SCORE) {
      arithmetic.parts(values, chosen, dropped, mixed);
    }
    return dropped;
  }

  /** Tokens in the order in which choices of one rank queue. */
  private static int[] order(Estimate values, Estimate chosen, Routing.Drops.Order order) {
    return switch (order) {
      case CHOICE_THEN_POSITION -> IntStream.range(0, chosen.rows()).toArray();
      case CHOICE_THEN_SCORE ->
          descending(chosen.rows(), t -> values.value(t, (int) chosen.value(t, 0)));
    };
  }

  @Override
  public Estimate without(Estimate weighed, Estimate dropped) {
    var kept = new Estimate(weighed.rows(), weighed.columns());
    for (int t = 0; t < weighed.rows(); t++) {
      for (int i = 0; i < weighed.columns(); i++) {
        if (dropped.value(t, i) == 0) {
          kept.set(t, i, weighed.value(t, i), weighed.error(t, i));
        }
      }
    }
    return kept;
  }

  @Override
  public Estimate weigh(
      Estimate values,
      Estimate chosen,
      @Nullable Estimate dropped,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    var result = new Estimate(chosen.rows(), chosen.columns());
    for (int t = 0; t < chosen.rows(); t++) {
      double total = 0;
      double squares = 0;
      for (int i = 0; i < chosen.columns(); i++) {
        int expert = (int) chosen.value(t, i);
        double kept = dropped == null ? 1 : 1 - dropped.value(t, i);
        total += kept * values.value(t, expert);
        squares += kept * values.error(t, expert) * values.error(t, expert);
      }
      for (int i = 0; i < chosen.columns(); i++) {
        if (dropped != null && dropped.value(t, i) == 1) {
          continue;
        }
        double w = values.value(t, (int) chosen.value(t, i));
        double e = values.error(t, (int) chosen.value(t, i));
        if (normalisation != null) {
          double divisor = normalisation.divisor(total);
          boolean replaced = divisor > total + normalisation.epsilon();
          double others = Math.sqrt(Math.max(0, squares - e * e));
          w = w / divisor;
          // dw_i = ((1 − w_i) ds_i − w_i Σ ds_j) / divisor, j other than i.
          e = replaced ? e / divisor : norm2((1 - w) * e, w * others, 0) / divisor;
        }
        w *= scale;
        e *= scale;
        double rounding = Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u() * w;
        result.set(t, i, w, norm2(e, rounding, 0));
      }
    }
    return arithmetic.settle(result);
  }

  /** Unlike other weights, these are computed in the dtype of the model. */
  @Override
  public Estimate compete(Estimate values, Estimate chosen, Routing.Mixer mixer, double scale) {
    mixed.clear();
    var result = new Estimate(chosen.rows(), chosen.columns());
    for (int t = 0; t < chosen.rows(); t++) {
      for (int i = 0; i < chosen.columns(); i++) {
        boolean doubtful = arithmetic.share(mixer, values, chosen, t, i, result);
        // In lower precision most tokens are; how wide their bounds are is told of each step there.
        if (doubtful && arithmetic.u() <= scoring.u()) {
          mixed.set(t);
        }
      }
    }
    return arithmetic.settle(scale == 1 ? result : arithmetic.scale(result, scale));
  }

  @Override
  public Estimate descend(Routing.Hierarchy hierarchy, Estimate p, Estimate s, int count) {
    choice = s;
    groups = p;
    experts =
        replayed != null
            ? replayed
            : IntStream.range(0, s.rows())
                .mapToObj(t -> descended(hierarchy, p, s, t, count))
                .toList();
    return Estimate.of(experts);
  }

  private static int[] descended(
      Routing.Hierarchy hierarchy, Estimate p, Estimate s, int t, int count) {
    int size = s.columns() / hierarchy.groups();
    return Arrays.stream(descending(hierarchy.groups(), g -> p.value(t, g)))
        .limit(hierarchy.kept())
        .map(group -> group * size)
        .flatMap(
            first ->
                Arrays.stream(descending(size, e -> s.value(t, first + e)))
                    .limit(count / hierarchy.kept())
                    .map(e -> first + e))
        .toArray();
  }

  @Override
  public Estimate share(
      Routing.Hierarchy hierarchy, Estimate p, Estimate s, Estimate chosen, double scale) {
    int size = s.columns() / hierarchy.groups();
    var result = new Estimate(chosen.rows(), chosen.columns());
    for (int t = 0; t < chosen.rows(); t++) {
      int token = t;
      int[] ids =
          IntStream.range(0, chosen.columns()).map(i -> (int) chosen.value(token, i)).toArray();
      int[] kept = Arrays.stream(ids).map(e -> e / size).distinct().toArray();
      for (int i = 0; i < ids.length; i++) {
        int group = ids[i] / size;
        int[] beside = Arrays.stream(ids).filter(e -> e / size == group).toArray();
        Share ofGroup = Share.of(p, t, group, kept);
        Share own = Share.of(s, t, ids[i], beside);
        double w = ofGroup.value() * own.value() * scale;
        double e = norm2(ofGroup.value() * own.error(), own.value() * ofGroup.error(), 0) * scale;
        result.set(t, i, w, norm2(e, Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u() * w, 0));
      }
    }
    return arithmetic.settle(result);
  }

  /** A value over a sum that it is in. */
  private record Share(double value, double error) {
    static Share of(Estimate values, int row, int own, int[] summed) {
      double total = 0;
      double others = 0;
      for (int i : summed) {
        total += values.value(row, i);
        others += i == own ? 0 : values.error(row, i) * values.error(row, i);
      }
      double w = values.value(row, own) / total;
      // As in a normalisation of weights.
      double e = norm2((1 - w) * values.error(row, own), w * Math.sqrt(others), 0) / total;
      return new Share(w, e);
    }
  }

  @Override
  public Estimate factored(Estimate weighed, Estimate chosen, Leaf factors) {
    WeightMatrix w = weights.apply(factors);
    double[] f = new double[w.columns()];
    w.read(0, f);
    var result = new Estimate(weighed.rows(), weighed.columns());
    for (int t = 0; t < weighed.rows(); t++) {
      for (int i = 0; i < weighed.columns(); i++) {
        int expert = (int) chosen.value(t, i);
        double y = f[expert] * weighed.value(t, i);
        double rounded = w.roundingOf(0, expert, f[expert]) * weighed.value(t, i);
        double carried = f[expert] * weighed.error(t, i);
        result.set(t, i, y, norm2(carried, rounded, arithmetic.u() * y));
      }
    }
    return arithmetic.settle(result);
  }

  @Override
  public Estimate experts(Experts all, Estimate x, Estimate chosen, Estimate weighed) {
    int count = all.count();
    int width = Math.toIntExact(all.network(0).down().shape().dim(0));
    var mixed = new Estimate(x.rows(), all.tasks() * width);
    for (int id = 0; id < all.tasks() * count; id++) {
      int one = id;
      Network network = all.network(id % count);
      addExperts(
          places(chosen, other -> other == one),
          all.weightsApplyTo(),
          rows -> Forward.network(this, rows, network),
          x,
          weighed,
          mixed,
          id / count * width);
    }
    if (all.identities() > 0) {
      List<int[]> places = places(chosen, id -> id >= count);
      addExperts(places, all.weightsApplyTo(), UnaryOperator.identity(), x, weighed, mixed, 0);
    }
    return arithmetic.settle(mixed);
  }

  /** Token and place of choices of some experts. */
  private static List<int[]> places(Estimate chosen, DoublePredicate which) {
    List<int[]> places = new ArrayList<>();
    for (int t = 0; t < chosen.rows(); t++) {
      for (int i = 0; i < chosen.columns(); i++) {
        if (which.test(chosen.value(t, i))) {
          places.add(new int[] {t, i});
        }
      }
    }
    return places;
  }

  private void addExperts(
      List<int[]> places,
      Routing.WeightsApplyTo applied,
      UnaryOperator<Estimate> expert,
      Estimate x,
      Estimate weighed,
      Estimate mixed,
      int first) {
    boolean before = applied == Routing.WeightsApplyTo.EXPERT_INPUT;
    if (places.isEmpty()) {
      return;
    }
    var rows = new Estimate(places.size(), x.columns());
    for (int p = 0; p < places.size(); p++) {
      rows.copyRow(x, places.get(p)[0], p);
    }
    Estimate y = expert.apply(before ? weighed(rows, places, weighed) : rows);
    Estimate summands = before ? y : weighed(y, places, weighed);
    for (int p = 0; p < places.size(); p++) {
      for (int c = 0; c < y.columns(); c++) {
        mixed.add(places.get(p)[0], first + c, summands.value(p, c), summands.error(p, c));
      }
    }
  }

  /** Each row times the weight at its place. */
  private Estimate weighed(Estimate rows, List<int[]> places, Estimate weights) {
    var result = new Estimate(rows.rows(), rows.columns());
    for (int p = 0; p < places.size(); p++) {
      double w = weights.value(places.get(p)[0], places.get(p)[1]);
      double we = weights.error(places.get(p)[0], places.get(p)[1]);
      for (int c = 0; c < rows.columns(); c++) {
        double v = w * rows.value(p, c);
        double rounding = Arithmetic.FUNCTION_ROUNDINGS * arithmetic.u() * v;
        result.set(p, c, v, norm2(w * rows.error(p, c), we * rows.value(p, c), rounding));
      }
    }
    return result;
  }
}
