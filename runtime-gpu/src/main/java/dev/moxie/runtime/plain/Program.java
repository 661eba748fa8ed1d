package dev.moxie.runtime.plain;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.format.model.TensorSpec.Leaf;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Reads a forward pass, or a part of one, once, and then runs it as often as tokens come: on
 * float32 activations and on weights as they are stored. Every weight is found while it is read,
 * but those of experts, which wait until a token first needs them.
 */
public final class Program implements Ops<Value> {
  private final Weights weights;
  private final Pass pass;
  private final List<Instruction> instructions = new ArrayList<>();
  private final Map<Value, Product> products = new HashMap<>();
  private final Map<Value, Chosen> chosen = new HashMap<>();
  private final Map<Value, ChosenBlocks> blocks = new HashMap<>();
  private final Map<Step, Value> steps = new EnumMap<>(Step.class);
  private int made;
  private @Nullable Value scores;
  private @Nullable Value choice;
  private @Nullable Value groups;

  /** An empty program of a model; all those of one model share the pass. */
  public Program(Weights weights, Pass pass) {
    this.weights = weights;
    this.pass = pass;
  }

  /** What the caller sets before each run. */
  public Value input(int columns) {
    return make(columns);
  }

  /** Computes everything that was read. */
  public void run() {
    for (int i = 0; i < instructions.size(); i++) {
      instructions.get(i).run();
    }
  }

  /** A step that was read. */
  public Value step(Step step) {
    return Objects.requireNonNull(steps.get(step), step.id());
  }

  /** The scores of the experts, [T, E]. */
  public Value scores() {
    return Objects.requireNonNull(scores, "scores");
  }

  /** What experts were chosen by, before any mask, [T, E]. */
  public Value choice() {
    return Objects.requireNonNull(choice, "choice");
  }

  /** What groups of experts were chosen by, [T, count]; null without groups. */
  public @Nullable Value groups() {
    return groups;
  }

  private Value make(int columns) {
    return pass.places().of(made++, columns);
  }

  /** What an operation makes of one token. */
  @FunctionalInterface
  private interface Row {
    /**
     * @param x the first operand, from {@code at} on
     * @param y the result, from {@code to} on
     */
    void compute(int token, float[] x, int at, float[] y, int to);
  }

  private Value row(Value x, int columns, Row row) {
    Value y = make(columns);
    TokenByToken.Token token =
        (t, scratch) -> row.compute(t, pass.array(x), t * x.apart(), pass.array(y), t * y.apart());
    instructions.add(new TokenByToken(pass, 4L * Math.max(columns, x.columns()), token));
    return y;
  }

  @Override
  public Value note(Step step, Value x) {
    steps.put(step, x);
    return x;
  }

  @Override
  public Value embed(Leaf table) {
    StoredMatrix matrix = weights.matrix(table);
    Value y = make(matrix.columns());
    instructions.add(
        new TokenByToken(
            pass,
            matrix.columns(),
            (t, scratch) ->
                matrix.readInOrder(
                    Math.toIntExact(pass.id(t)),
                    pass.array(y),
                    t * y.apart(),
                    scratch.of(Scratch.Room.PANEL, matrix.columns()))));
    return y;
  }

  @Override
  public Value patches(Architecture.Image image) {
    int size = image.patchSize();
    Value y = make(size);
    instructions.add(
        new TokenByToken(
            pass, size, (t, scratch) -> pass.patch(t, pass.array(y), t * y.apart(), size)));
    return y;
  }

  @Override
  public Value situate(Value x, Leaf first, Leaf table) {
    float[] start = weights.vector(first);
    StoredMatrix places = weights.matrix(table);
    int columns = x.columns();
    Value y = make(columns);
    instructions.add(
        new TokenByToken(
            pass,
            columns,
            (t, scratch) -> {
              float[] room = scratch.of(Scratch.Room.PANEL, columns);
              float[] sum = pass.array(y);
              int to = t * y.apart();
              int position = pass.position(t);
              places.readInOrder(position, sum, to, room);
              for (int c = 0; c < columns; c++) {
                sum[to + c] += position == 0 ? start[c] : pass.array(x)[t * x.apart() + c];
              }
            }));
    return y;
  }

  @Override
  public Value first(Value x) {
    int[] one = {0};
    instructions.add(() -> pass.keep(one, one.length, x));
    return x;
  }

  /** Products of the same x are computed together. */
  @Override
  public Value linear(Value x, Leaf leaf) {
    return product(x, weights.matrix(leaf));
  }

  private Value product(Value x, StoredMatrix matrix) {
    Value y = make(matrix.rows());
    products
        .computeIfAbsent(
            x,
            first -> {
              var product = new Product(pass, x);
              instructions.add(product);
              return product;
            })
        .add(matrix, y);
    return y;
  }

  @Override
  public Value shift(Value x, Leaf vector) {
    float[] v = weights.vector(vector);
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          for (int c = 0; c < v.length; c++) {
            y[to + c] = a[at + c] + v[c];
          }
        });
  }

  @Override
  public Value scale(Value x, double factor) {
    float f = (float) factor;
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          for (int c = 0; c < x.columns(); c++) {
            y[to + c] = f * a[at + c];
          }
        });
  }

  @Override
  public Value times(Value x, Leaf factors) {
    float[] f = weights.vector(factors);
    int each = x.columns() / f.length;
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          for (int i = 0, c = 0; i < f.length; i++) {
            for (int end = c + each; c < end; c++) {
              y[to + c] = f[i] * a[at + c];
            }
          }
        });
  }

  @Override
  public Value cap(Value x, double limit) {
    float most = (float) limit;
    return row(x, x.columns(), (t, a, at, y, to) -> Numbers.cap(a, at, x.columns(), most, y, to));
  }

  @Override
  public Value norm(Value x, Leaf weight, double epsilon) {
    return norms(x, weight, epsilon, x.columns());
  }

  @Override
  public Value norms(Value x, @Nullable Leaf weight, double epsilon, int size) {
    return norms(x, weight == null ? null : weights.vector(weight), epsilon, size);
  }

  @Override
  public Value offsetNorms(Value x, Leaf weight, double epsilon, int size) {
    float[] w = weights.vector(weight);
    for (int i = 0; i < w.length; i++) {
      w[i] += 1;
    }
    return norms(x, w, epsilon, size);
  }

  private Value norms(Value x, float @Nullable [] w, double epsilon, int size) {
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          for (int c = 0; c < x.columns(); c += size) {
            Norms.norm(a, at + c, 0, w, epsilon, size, y, to + c);
          }
        });
  }

  @Override
  public Value centredNorm(Value x, Leaf weight, double epsilon) {
    float[] w = weights.vector(weight);
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) ->
            Norms.norm(a, at, Norms.mean(a, at, w.length), w, epsilon, w.length, y, to));
  }

  @Override
  public Value clip(Value x, double limit) {
    float most = (float) limit;
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          for (int c = 0; c < x.columns(); c++) {
            y[to + c] = Math.clamp(a[at + c], -most, most);
          }
        });
  }

  @Override
  public Value temper(Value x, Attention.Temperature temperature) {
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          double floors = Math.floor(temperature.count(pass.position(t)) / temperature.floor());
          float f = (float) (1 + temperature.scale() * StrictMath.log1p(floors));
          for (int c = 0; c < x.columns(); c++) {
            y[to + c] = f * a[at + c];
          }
        });
  }

  @Override
  public Value add(Value a, Value b) {
    return row(
        a,
        a.columns(),
        (t, x, at, y, to) -> {
          float[] other = pass.array(b);
          int from = t * b.apart();
          for (int c = 0; c < a.columns(); c++) {
            y[to + c] = x[at + c] + other[from + c];
          }
        });
  }

  @Override
  public Value multiply(Value a, Value b) {
    int each = a.columns() / b.columns();
    return row(
        a,
        a.columns(),
        (t, x, at, y, to) -> {
          float[] other = pass.array(b);
          int from = t * b.apart();
          for (int i = 0, c = 0; i < b.columns(); i++) {
            for (int end = c + each; c < end; c++) {
              y[to + c] = x[at + c] * other[from + i];
            }
          }
        });
  }

  @Override
  public Value gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Value gate, Value up) {
    return row(
        gate,
        gate.columns(),
        (t, x, at, y, to) -> Mixture.gate(f, clamp, x, pass.array(up), at, gate.columns(), y, to));
  }

  @Override
  public Value activate(FeedForward.Activation f, Value x) {
    return row(x, x.columns(), (t, a, at, y, to) -> Mixture.activate(f, a, at, x.columns(), y, to));
  }

  @Override
  public Value switched(Attention.Opening opening, Value x, Value by) {
    int size = x.columns() / by.columns();
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          float[] switches = pass.array(by);
          int from = t * by.apart();
          for (int g = 0; g < by.columns(); g++) {
            float f =
                switch (opening) {
                  case SIGMOID -> Numbers.sigmoid(switches[from + g]);
                  case SOFTPLUS -> (float) Numbers.softplus(switches[from + g]);
                };
            for (int c = g * size; c < (g + 1) * size; c++) {
              y[to + c] = f * a[at + c];
            }
          }
        });
  }

  @Override
  public Value columns(Value x, int first, int count) {
    return row(x, count, (t, a, at, y, to) -> System.arraycopy(a, at + first, y, to, count));
  }

  @Override
  public Value ofHeads(Value x, int headSize, int first, int count) {
    int heads = x.columns() / headSize;
    return row(
        x,
        heads * count,
        (t, a, at, y, to) -> {
          for (int h = 0; h < heads; h++) {
            System.arraycopy(a, at + h * headSize + first, y, to + h * count, count);
          }
        });
  }

  @Override
  public Value join(Value a, Value b) {
    return row(
        a,
        a.columns() + b.columns(),
        (t, x, at, y, to) -> {
          System.arraycopy(x, at, y, to, a.columns());
          System.arraycopy(pass.array(b), t * b.apart(), y, to + a.columns(), b.columns());
        });
  }

  @Override
  public Value rotate(Value x, Rotary rotary, int headSize, int first) {
    return turned(x, headSize, first, pass.turns(rotary)::turn);
  }

  @Override
  public Value rotateBack(Value x, Rotary rotary, int headSize, int first) {
    return turned(x, headSize, first, pass.turns(rotary)::turnBack);
  }

  /** Turns the dimensions of a head from a place on, at a position. */
  private interface Turning {
    void turn(int position, float[] x, int at);
  }

  private Value turned(Value x, int headSize, int first, Turning turning) {
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          System.arraycopy(a, at, y, to, x.columns());
          for (int head = 0; head < x.columns(); head += headSize) {
            turning.turn(pass.position(t), y, to + head + first);
          }
        });
  }

  @Override
  public Value place(Value x, Architecture.Sinusoids positions) {
    var sinusoids = new Sinusoids(positions, x.columns());
    Value y = make(x.columns());
    instructions.add(new Placing(pass, sinusoids, x, y));
    return y;
  }

  @Override
  public void remember(int layer, Attention.Cross cross, Value k, Value v) {
    instructions.add(
        () -> {
          for (int t = 0; t < pass.tokens(); t++) {
            pass.past(t)
                .remember(
                    layer,
                    pass.position(t),
                    pass.array(k),
                    t * k.apart(),
                    pass.array(v),
                    t * v.apart(),
                    k.columns());
          }
        });
  }

  @Override
  public Value recall(int layer, Attention.Cross cross, Value q) {
    Value y = make(q.columns());
    Attention.GroupedQuery all = cross.attention();
    instructions.add(new GroupedAttention(pass, layer, all, q, null, null, null, null, null, y));
    return y;
  }

  @Override
  public Value attend(
      int layer,
      Attention.GroupedQuery a,
      Value q,
      Value k,
      Value v,
      @Nullable Value seen,
      @Nullable Leaf sinks,
      @Nullable Leaf distances) {
    Value y = make(a.heads() * a.valuesOfHead());
    float[] scores = sinks == null ? null : weights.vector(sinks);
    float[][] biases = distances == null ? null : rows(weights.matrix(distances));
    ChosenBlocks some = seen == null ? null : Objects.requireNonNull(blocks.get(seen));
    instructions.add(new GroupedAttention(pass, layer, a, q, k, v, some, scores, biases, y));
    return y;
  }

  /** The value stands for the choice, which has no width. */
  @Override
  public Value chooseBlocks(int layer, Attention.BlockIndexer indexer, Value q, Value k) {
    var some = new ChosenBlocks(pass, layer, indexer, q, k);
    instructions.add(some);
    Value choice = make(1);
    blocks.put(choice, some);
    return choice;
  }

  private static float[][] rows(StoredMatrix matrix) {
    float[][] rows = new float[matrix.rows()][matrix.columns()];
    float[] room = new float[matrix.columns()];
    for (int i = 0; i < rows.length; i++) {
      matrix.readInOrder(i, rows[i], 0, room);
    }
    return rows;
  }

  @Override
  public Value latent(
      int layer,
      Attention.MultiHeadLatent a,
      Value q,
      Value c,
      Value r,
      @Nullable Value seen,
      Leaf up) {
    Value y = make(a.heads() * a.valueSize());
    Chosen some = seen == null ? null : Objects.requireNonNull(chosen.get(seen));
    instructions.add(new LatentAttention(pass, layer, a, q, c, r, some, weights.matrix(up), y));
    return y;
  }

  /** The value stands for the choice, which has no width. */
  @Override
  public Value choose(int layer, Attention.Indexer indexer, int every, Value q, Value k, Value w) {
    var some = new Chosen(pass, layer, indexer, every, q, k, w);
    instructions.add(some);
    Value choice = make(1);
    chosen.put(choice, some);
    return choice;
  }

  @Override
  public Value convolve(Value x, Leaf weight) {
    StoredMatrix matrix = weights.matrix(weight);
    Value y = make(x.columns());
    instructions.add(Convolution.of(pass, matrix, x, y));
    return y;
  }

  @Override
  public Value softplus(Value x, double least) {
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          for (int c = 0; c < x.columns(); c++) {
            y[to + c] = (float) Math.max(Numbers.softplus(a[at + c]), least);
          }
        });
  }

  @Override
  public Value decay(Value steps, Leaf rate) {
    double[] rates = rates(rate);
    int columns = Math.max(rates.length, steps.columns());
    int ofStep = columns / steps.columns();
    int ofRate = columns / rates.length;
    return row(
        steps,
        columns,
        (t, a, at, y, to) -> {
          for (int c = 0; c < columns; c++) {
            y[to + c] = (float) StrictMath.exp(-rates[c / ofRate] * a[at + c / ofStep]);
          }
        });
  }

  /** Exponentials of what is stored, row by row. */
  private double[] rates(Leaf rate) {
    float[][] rows =
        rate.shape().rank() == 1
            ? new float[][] {weights.vector(rate)}
            : rows(weights.matrix(rate));
    int columns = rows[0].length;
    double[] rates = new double[Math.multiplyExact(rows.length, columns)];
    for (int i = 0; i < rates.length; i++) {
      rates[i] = StrictMath.exp(rows[i / columns][i % columns]);
    }
    return rates;
  }

  @Override
  public Value recur(States states, Value q, Value k, Value v, Value d, @Nullable Value b) {
    Value y = make(v.columns());
    instructions.add(new Recurrence(pass, pass.newState(), states, q, k, v, d, b, y));
    return y;
  }

  @Override
  public Value assign(Leaf table) {
    StoredMatrix matrix = weights.matrix(table);
    int count = matrix.columns();
    int experts = scores().columns();
    requireExperts(matrix, table.tensor().name(), experts);
    Value y = make(count);
    // Those that the table names are chosen, whatever the scores.
    Value named = make(experts);
    choice = named;
    instructions.add(
        new TokenByToken(
            pass,
            experts,
            (t, scratch) -> {
              int to = t * y.apart();
              float[] ids = pass.array(y);
              matrix.read(Math.toIntExact(pass.id(t)), ids, to);
              int row = t * named.apart();
              Arrays.fill(pass.array(named), row, row + experts, 0);
              for (int i = to; i < to + count; i++) {
                pass.array(named)[row + (int) ids[i]] = 1;
              }
              replay(t, ids, to, count);
            }));
    return y;
  }

  private static void requireExperts(StoredMatrix table, String name, int experts) {
    float[] ids = new float[table.columns()];
    for (int token = 0; token < table.rows(); token++) {
      table.read(token, ids, 0);
      for (float id : ids) {
        if (!(id >= 0 && id < experts)) {
          throw new CorruptException(
              name + ", token " + token,
              "experts from 0 to " + (experts - 1),
              String.valueOf((long) id),
              "config.json and weights do not belong together, pass those of one checkpoint");
        }
      }
    }
  }

  @Override
  public Value grouped(Value x, Leaf matrices, int groups) {
    StoredMatrix matrix = weights.matrix(matrices);
    int rows = matrix.rows() / groups;
    int width = matrix.columns();
    Value all = null;
    for (int group = 0; group < groups; group++) {
      Value heads = ofHeads(x, x.columns(), group * width, width);
      Value y = product(heads, new SomeRows(matrix, group * rows, rows));
      all = all == null ? y : join(all, y);
    }
    return Objects.requireNonNull(all);
  }

  @Override
  public Value best(Value scores, int count) {
    return row(
        scores,
        count,
        (t, x, at, y, to) -> Choosing.largest(x, at, scores.columns(), y, to, count));
  }

  @Override
  public Value byExpert(Value x, Leaf matrices, int experts, Value chosen) {
    StoredMatrix matrix = weights.matrix(matrices);
    Value y = make(chosen.columns() * (matrix.rows() / experts));
    instructions.add(new ProductByExpert(pass, matrix, experts, x, chosen, y));
    return y;
  }

  @Override
  public Value rotateToFirst(Value x, Rotary rotary, int headSize, int first, int tokens) {
    Turns turns = pass.turns(rotary);
    return row(
        x,
        x.columns(),
        (t, a, at, y, to) -> {
          System.arraycopy(a, at, y, to, x.columns());
          int position = Math.max(0, pass.position(t) + 1 - tokens);
          turns.turn(position, y, to + first);
        });
  }

  @Override
  public Value compress(Attention.Compression n, Value c, Value z, Leaf places) {
    float[][] rows = rows(weights.matrix(places));
    Value y = make(n.overlapping() ? c.columns() / 2 : c.columns());
    instructions.add(new Entries(pass, pass.newState(), n, rows, c, z, y));
    return y;
  }

  @Override
  public Value compressed(
      int layer,
      Attention.Compressed a,
      Value q,
      Value v,
      @Nullable Value entries,
      @Nullable Value seen,
      Leaf sinks) {
    Value y = make(q.columns());
    Chosen some = seen == null ? null : Objects.requireNonNull(chosen.get(seen));
    float[] scores = weights.vector(sinks);
    instructions.add(new CompressedAttention(pass, layer, a, q, v, entries, some, scores, y));
    return y;
  }

  @Override
  public Value connect(Architecture.Streams streams, Value m, Leaf factors, Leaf shift) {
    float[] f = weights.vector(factors);
    float[] b = weights.vector(shift);
    return row(m, b.length, (t, x, at, y, to) -> StreamWeights.of(streams, x, at, f, b, y, to));
  }

  @Override
  public Value gather(Architecture.Streams streams, Value by, Value h) {
    int width = h.columns() / streams.count();
    return row(
        h,
        width,
        (t, x, at, y, to) -> {
          float[] p = pass.array(by);
          int from = t * by.apart();
          for (int c = 0; c < width; c++) {
            float sum = 0;
            for (int i = 0; i < streams.count(); i++) {
              sum = Math.fma(p[from + i], x[at + i * width + c], sum);
            }
            y[to + c] = sum;
          }
        });
  }

  @Override
  public Value spread(Architecture.Streams streams, Value by, Value h, Value made) {
    int n = streams.count();
    int width = made.columns();
    return row(
        h,
        h.columns(),
        (t, x, at, y, to) -> {
          float[] w = pass.array(by);
          float[] half = pass.array(made);
          int from = t * by.apart();
          int add = t * made.apart();
          for (int k = 0; k < n; k++) {
            for (int c = 0; c < width; c++) {
              float sum = w[from + n + k] * half[add + c];
              for (int j = 0; j < n; j++) {
                sum = Math.fma(w[from + 2 * n + j * n + k], x[at + j * width + c], sum);
              }
              y[to + k * width + c] = sum;
            }
          }
        });
  }

  @Override
  public Value cosine(Routing.Cosine cosine, Value x, Leaf matrix, Leaf temperature) {
    float[][] rows = rows(weights.matrix(matrix));
    double factor = Math.min(StrictMath.exp(weights.vector(temperature)[0]), cosine.most());
    for (float[] row : rows) {
      double length = length(row, 0, row.length);
      for (int c = 0; c < row.length; c++) {
        row[c] = length == 0 ? 0 : (float) (row[c] / length * factor);
      }
    }
    return row(
        x,
        rows.length,
        (t, a, at, y, to) -> {
          double length = length(a, at, x.columns());
          for (int e = 0; e < rows.length; e++) {
            double sum = 0;
            for (int c = 0; c < x.columns(); c++) {
              sum += (double) rows[e][c] * a[at + c];
            }
            y[to + e] = length == 0 ? 0 : (float) (sum / length);
          }
        });
  }

  private static double length(float[] x, int at, int count) {
    double squares = 0;
    for (int i = at; i < at + count; i++) {
      squares += (double) x[i] * x[i];
    }
    return Math.sqrt(squares);
  }

  @Override
  public Value constant(String words, double[] row) {
    Value y = make(row.length);
    float[] numbers = new float[row.length];
    for (int i = 0; i < row.length; i++) {
      numbers[i] = (float) row[i];
    }
    instructions.add(
        new TokenByToken(
            pass,
            row.length,
            (t, scratch) ->
                System.arraycopy(numbers, 0, pass.array(y), t * y.apart(), numbers.length)));
    return y;
  }

  @Override
  public Value score(Routing.Score score, Value logits, int sets) {
    int experts = logits.columns();
    int size = experts / sets;
    choice = null;
    groups = null;
    scores =
        row(
            logits,
            experts,
            switch (score) {
              case SOFTMAX ->
                  (t, x, at, y, to) -> {
                    for (int e = 0; e < experts; e += size) {
                      Norms.softmax(x, at + e, size, y, to + e);
                    }
                  };
              case SIGMOID -> (t, x, at, y, to) -> Norms.sigmoid(x, at, experts, y, to);
              case IDENTITY, ONE -> (t, x, at, y, to) -> System.arraycopy(x, at, y, to, experts);
              case SQRT_SOFTPLUS -> (t, x, at, y, to) -> Norms.sqrtSoftplus(x, at, experts, y, to);
            });
    return scores;
  }

  @Override
  public Value favour(Value x, Leaf bias) {
    return shift(x, bias);
  }

  @Override
  public Value limit(Value unlimited, Routing.Groups limits) {
    int experts = unlimited.columns();
    choice = unlimited;
    Value of =
        row(
            unlimited,
            limits.count(),
            (t, x, at, y, to) -> Choosing.aggregate(limits, x, at, experts, y, to));
    groups = of;
    return row(
        unlimited,
        experts,
        (t, x, at, y, to) -> {
          System.arraycopy(x, at, y, to, experts);
          Choosing.limit(limits, pass.array(of), t * of.apart(), y, to, experts);
        });
  }

  @Override
  public Value top(Value values, int count, int sets) {
    int size = values.columns() / sets;
    int each = count / sets;
    choice = Objects.requireNonNullElse(choice, values);
    return row(
        values,
        count,
        (t, x, at, y, to) -> {
          for (int set = 0; set < sets; set++) {
            largestOfSet(x, at, set * size, size, y, to + set * each, each);
          }
          replay(t, y, to, count);
        });
  }

  /** The largest of neighbouring values by their places among all. */
  private static void largestOfSet(
      float[] x, int at, int set, int size, float[] y, int to, int count) {
    Choosing.largest(x, at + set, size, y, to, count);
    for (int i = to; i < to + count; i++) {
      y[i] += set;
    }
  }

  /** Puts the experts in place that a token is given to, whatever it chose. */
  private void replay(int token, float[] ids, int to, int count) {
    List<int[]> replayed = pass.replayed();
    for (int i = 0; replayed != null && i < count; i++) {
      ids[to + i] = replayed.get(token)[i];
    }
  }

  @Override
  public Value drop(Value values, Value chosen, Routing.Drops drops) {
    Value y = make(chosen.columns());
    boolean ahead = drops.looksAhead(chosen.columns());
    int state = ahead ? Queues.NO_STATE : pass.newState();
    instructions.add(new Queues(pass, state, drops, values.columns(), values, chosen, y));
    return y;
  }

  @Override
  public Value without(Value weighed, Value dropped) {
    return row(
        weighed,
        weighed.columns(),
        (t, x, at, y, to) -> {
          float[] out = pass.array(dropped);
          int from = t * dropped.apart();
          for (int i = 0; i < weighed.columns(); i++) {
            y[to + i] = out[from + i] == 1 ? 0 : x[at + i];
          }
        });
  }

  @Override
  public Value weigh(
      Value values,
      Value chosen,
      @Nullable Value dropped,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    int count = chosen.columns();
    return row(
        values,
        count,
        (t, x, at, y, to) -> {
          float[] ids = pass.array(chosen);
          int from = t * chosen.apart();
          double sum = 0;
          for (int i = 0; i < count; i++) {
            boolean out = dropped != null && pass.array(dropped)[t * dropped.apart() + i] == 1;
            y[to + i] = out ? 0 : x[at + (int) ids[from + i]];
            sum += y[to + i];
          }
          double divisor = normalisation == null ? 1 : normalisation.divisor(sum);
          for (int i = 0; i < count; i++) {
            y[to + i] = (float) (y[to + i] / divisor * scale);
          }
        });
  }

  @Override
  public Value compete(Value values, Value chosen, Routing.Mixer mixer, double scale) {
    int count = chosen.columns();
    return row(
        values,
        count,
        (t, x, at, y, to) -> {
          float[] ids = pass.array(chosen);
          int from = t * chosen.apart();
          for (int i = 0; i < count; i++) {
            double share = Choosing.share(mixer, x, at, values.columns(), ids, from, count, i);
            y[to + i] = (float) (share * scale);
          }
        });
  }

  @Override
  public Value descend(Routing.Hierarchy hierarchy, Value p, Value s, int count) {
    choice = s;
    groups = p;
    int size = s.columns() / hierarchy.groups();
    int each = count / hierarchy.kept();
    return row(
        s,
        count,
        (t, x, at, y, to) -> {
          // Kept groups stand first where the experts of each begin, the last of them first.
          int kept = hierarchy.kept();
          Choosing.largest(pass.array(p), t * p.apart(), hierarchy.groups(), y, to, kept);
          for (int g = kept - 1; g >= 0; g--) {
            int group = (int) y[to + g];
            largestOfSet(x, at, group * size, size, y, to + g * each, each);
          }
          replay(t, y, to, count);
        });
  }

  @Override
  public Value share(Routing.Hierarchy hierarchy, Value p, Value s, Value chosen, double scale) {
    int count = chosen.columns();
    int size = s.columns() / hierarchy.groups();
    return row(
        s,
        count,
        (t, x, at, y, to) -> {
          float[] ids = pass.array(chosen);
          float[] ofGroups = pass.array(p);
          int from = t * chosen.apart();
          int of = t * p.apart();
          double kept = 0;
          for (int i = 0; i < count; i++) {
            int group = (int) ids[from + i] / size;
            double sum = 0;
            boolean first = true;
            for (int j = 0; j < count; j++) {
              if ((int) ids[from + j] / size == group) {
                sum += x[at + (int) ids[from + j]];
                first &= j >= i;
              }
            }
            kept += first ? ofGroups[of + group] : 0;
            y[to + i] = (float) (ofGroups[of + group] * x[at + (int) ids[from + i]] / sum);
          }
          for (int i = 0; i < count; i++) {
            y[to + i] = (float) (y[to + i] / kept * scale);
          }
        });
  }

  @Override
  public Value factored(Value weighed, Value chosen, Leaf factors) {
    float[] f = weights.vector(factors);
    int count = chosen.columns();
    return row(
        weighed,
        count,
        (t, x, at, y, to) -> {
          float[] ids = pass.array(chosen);
          int from = t * chosen.apart();
          for (int i = 0; i < count; i++) {
            y[to + i] = f[(int) ids[from + i]] * x[at + i];
          }
        });
  }

  @Override
  public Value experts(Experts experts, Value x, Value chosen, Value weighed) {
    int made = Math.toIntExact(experts.network(0).down().shape().dim(0));
    Value y = make(experts.tasks() * made);
    instructions.add(new Mixture(pass, weights, experts, x, chosen, weighed, y));
    return y;
  }
}
