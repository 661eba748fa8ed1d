package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.runtime.plain.RotaryAngles;
import dev.moxie.runtime.plain.StoredMatrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Reads a forward pass in float32 alone: every sum, product and function is rounded on its own, in
 * the order in which the equations are written. The CPU executor, which adds up in sixteen partial
 * sums, is too good to say how large errors get.
 *
 * @param experts of each token, which are not chosen here
 * @param remembered keys and values of an encoder's tokens, once there are any
 */
record Single(RandomWeights weights, List<int[]> experts, List<Activation> remembered)
    implements Ops<Activation> {
  Single(RandomWeights weights, List<int[]> experts) {
    this(weights, experts, new ArrayList<>());
  }

  /** One number of a result. */
  @FunctionalInterface
  private interface Number {
    float at(int row, int column);
  }

  private static Activation each(int rows, int columns, Number number) {
    float[] values = new float[rows * columns];
    for (int i = 0; i < values.length; i++) {
      values[i] = number.at(i / columns, i % columns);
    }
    return Activation.of(values, columns);
  }

  private static Activation like(Activation x, Number number) {
    return each(x.rows(), x.columns(), number);
  }

  private float[] vector(Leaf leaf) {
    return row(weights.stored(leaf), 0);
  }

  private static float[] row(StoredMatrix matrix, int row) {
    float[] values = new float[matrix.columns()];
    matrix.read(row, values, 0);
    return values;
  }

  private static float dot(float[] a, int from, float[] b, int start, int count) {
    float sum = 0;
    for (int i = 0; i < count; i++) {
      sum += a[from + i] * b[start + i];
    }
    return sum;
  }

  private static float exp(float x) {
    return (float) StrictMath.exp(x);
  }

  private static float sigmoid(float x) {
    return 1 / (1 + exp(-x));
  }

  private static float softplus(float x) {
    return (float) StrictMath.log1p(exp(x));
  }

  /** Of which some may be −∞. */
  private static float[] softmax(float[] scores) {
    float max = Float.NEGATIVE_INFINITY;
    for (float score : scores) {
      max = Math.max(max, score);
    }
    float[] shares = new float[scores.length];
    float total = 0;
    for (int j = 0; j < shares.length; j++) {
      shares[j] = exp(scores[j] - max);
      total += shares[j];
    }
    for (int j = 0; j < shares.length; j++) {
      shares[j] /= total;
    }
    return shares;
  }

  @Override
  public Activation embed(Leaf table) {
    throw new UnsupportedOperationException("rows are read as they are");
  }

  @Override
  public Activation patches(Architecture.Image image) {
    throw new UnsupportedOperationException("patches are read as they are");
  }

  @Override
  public Activation situate(Activation x, Leaf first, Leaf table) {
    float[] start = vector(first);
    StoredMatrix places = weights.stored(table);
    return like(x, (t, c) -> (t == 0 ? start[c] : x.at(t, c)) + row(places, t)[c]);
  }

  @Override
  public Activation first(Activation x) {
    return each(1, x.columns(), x::at);
  }

  @Override
  public Activation linear(Activation x, Leaf leaf) {
    StoredMatrix matrix = weights.stored(leaf);
    int n = x.columns();
    return each(x.rows(), matrix.rows(), (t, o) -> dot(x.values(), t * n, row(matrix, o), 0, n));
  }

  @Override
  public Activation shift(Activation x, Leaf leaf) {
    float[] v = vector(leaf);
    return like(x, (t, c) -> x.at(t, c) + v[c]);
  }

  @Override
  public Activation scale(Activation x, double factor) {
    return like(x, (t, c) -> (float) factor * x.at(t, c));
  }

  @Override
  public Activation times(Activation x, Leaf factors) {
    float[] f = vector(factors);
    int each = x.columns() / f.length;
    return like(x, (t, c) -> f[c / each] * x.at(t, c));
  }

  @Override
  public Activation cap(Activation x, double limit) {
    float most = (float) limit;
    return like(x, (t, c) -> most * (float) StrictMath.tanh(x.at(t, c) / most));
  }

  @Override
  public Activation factored(Activation weighed, Activation chosen, Leaf factors) {
    float[] f = vector(factors);
    return like(weighed, (t, i) -> f[(int) chosen.at(t, i)] * weighed.at(t, i));
  }

  @Override
  public Activation norm(Activation x, Leaf weight, double epsilon) {
    return norms(x, weight, epsilon, x.columns());
  }

  @Override
  public Activation centredNorm(Activation x, Leaf weight, double epsilon) {
    float[] means = new float[x.rows()];
    for (int t = 0; t < means.length; t++) {
      for (float value : x.row(t)) {
        means[t] += value;
      }
      means[t] /= x.columns();
    }
    return norm(like(x, (t, c) -> x.at(t, c) - means[t]), weight, epsilon);
  }

  @Override
  public Activation norms(Activation x, @Nullable Leaf weight, double epsilon, int size) {
    float[] w = weight == null ? null : vector(weight);
    float[] roots = new float[x.values().length / size];
    for (int i = 0; i < roots.length; i++) {
      float squares = dot(x.values(), i * size, x.values(), i * size, size);
      roots[i] = (float) Math.sqrt(squares / size + (float) epsilon);
    }
    return like(
        x,
        (t, c) -> {
          float y = x.at(t, c) / roots[(t * x.columns() + c) / size];
          return w == null ? y : w[c % size] * y;
        });
  }

  @Override
  public Activation offsetNorms(Activation x, Leaf weight, double epsilon, int size) {
    float[] w = vector(weight);
    Activation y = norms(x, null, epsilon, size);
    return like(y, (t, c) -> (1 + w[c % size]) * y.at(t, c));
  }

  @Override
  public Activation clip(Activation x, double limit) {
    return like(x, (t, c) -> Math.clamp(x.at(t, c), (float) -limit, (float) limit));
  }

  @Override
  public Activation temper(Activation x, Attention.Temperature temperature) {
    return like(
        x,
        (t, c) -> {
          float floors = (float) Math.floor(temperature.count(t) / (float) temperature.floor());
          return x.at(t, c) * ((float) StrictMath.log1p(floors) * (float) temperature.scale() + 1);
        });
  }

  @Override
  public Activation add(Activation a, Activation b) {
    return like(a, (t, c) -> a.at(t, c) + b.at(t, c));
  }

  @Override
  public Activation multiply(Activation a, Activation b) {
    int each = a.columns() / b.columns();
    return like(a, (t, c) -> a.at(t, c) * b.at(t, c / each));
  }

  @Override
  public Activation gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Activation gate, Activation up) {
    if (clamp == null) {
      return multiply(activate(f, gate), up);
    }
    float limit = (float) clamp.limit();
    float sharpness = (float) clamp.sharpness();
    float offset = (float) clamp.offset();
    return like(
        gate,
        (t, c) -> {
          float g = Math.min(gate.at(t, c), limit);
          return g * sigmoid(sharpness * g) * (Math.clamp(up.at(t, c), -limit, limit) + offset);
        });
  }

  @Override
  public Activation activate(FeedForward.Activation f, Activation x) {
    return switch (f) {
      case SILU -> like(x, (t, c) -> x.at(t, c) * sigmoid(x.at(t, c)));
      case GELU_TANH -> like(x, (t, c) -> gelu(x.at(t, c)));
      case RELU -> like(x, (t, c) -> Math.max(0, x.at(t, c)));
      case RELU_SQUARED -> like(x, (t, c) -> Math.max(x.at(t, c), 0) * Math.max(x.at(t, c), 0));
    };
  }

  private static float gelu(float x) {
    float z = (float) Math.sqrt(2 / Math.PI) * (x + 0.044715f * (x * x * x));
    return 0.5f * x * (1 + (float) StrictMath.tanh(z));
  }

  @Override
  public Activation switched(Attention.Opening f, Activation x, Activation by) {
    int size = x.columns() / by.columns();
    return like(
        x,
        (t, c) -> {
          float g = by.at(t, c / size);
          return (f == Attention.Opening.SIGMOID ? sigmoid(g) : softplus(g)) * x.at(t, c);
        });
  }

  @Override
  public Activation columns(Activation x, int first, int count) {
    return each(x.rows(), count, (t, c) -> x.at(t, first + c));
  }

  @Override
  public Activation ofHeads(Activation x, int headSize, int first, int count) {
    return each(
        x.rows(),
        x.columns() / headSize * count,
        (t, c) -> x.at(t, c / count * headSize + first + c % count));
  }

  @Override
  public Activation join(Activation a, Activation b) {
    return each(
        a.rows(),
        a.columns() + b.columns(),
        (t, c) -> c < a.columns() ? a.at(t, c) : b.at(t, c - a.columns()));
  }

  @Override
  public Activation rotate(Activation x, Rotary rotary, int headSize, int first) {
    return rotate(x, rotary, headSize, first, t -> t);
  }

  private static Activation rotate(
      Activation x, Rotary rotary, int headSize, int first, IntUnaryOperator position) {
    var angles = new RotaryAngles(rotary);
    int pairs = angles.pairs();
    boolean halves = rotary.pairing() == Rotary.Pairing.HALVES;
    return like(
        x,
        (t, c) -> {
          int dimension = c % headSize - first;
          if (dimension < 0 || dimension >= 2 * pairs) {
            return x.at(t, c);
          }
          int pair = halves ? dimension % pairs : dimension / 2;
          boolean second = halves ? dimension >= pairs : dimension % 2 == 1;
          int away = halves ? pairs : 1;
          float other = second ? x.at(t, c - away) : -x.at(t, c + away);
          int at = position.applyAsInt(t);
          return x.at(t, c) * angles.cos(at, pair) + other * angles.sin(at, pair);
        });
  }

  @Override
  public Activation attend(
      int layer,
      Attention.GroupedQuery a,
      Activation q,
      Activation k,
      Activation v,
      @Nullable Activation seen,
      @Nullable Leaf sinks,
      @Nullable Leaf distances) {
    if (seen != null) {
      throw new UnsupportedOperationException("which positions are chosen jumps");
    }
    float[] sink = sinks == null ? null : vector(sinks);
    StoredMatrix bias = distances == null ? null : weights.stored(distances);
    int d = a.headSize();
    int own = a.valuesOfHead();
    float[][] shares = new float[q.rows() * a.heads()][];
    for (int i = 0; i < shares.length; i++) {
      int t = i / a.heads();
      int head = i % a.heads();
      int key = head * a.keyValueHeads() / a.heads() * d;
      int first = (int) a.firstSeen(t);
      int end = (int) a.lastSeen(t, k.rows()) + 1;
      float[] scores = new float[end + 1 - first];
      for (int j = first; j < end; j++) {
        float product =
            dot(q.values(), t * q.columns() + head * d, k.values(), j * k.columns() + key, d);
        scores[j - first] = product * (float) a.softmaxScale();
        if (a.scoreCap() != null) {
          float most = a.scoreCap().floatValue();
          scores[j - first] = most * (float) Math.tanh(scores[j - first] / most);
        }
        if (a.distances() != null && bias != null) {
          int bucket = a.distances().bucket(j - t, a.bidirectional());
          scores[j - first] += row(bias, bucket)[head];
        }
      }
      scores[end - first] = sink == null ? Float.NEGATIVE_INFINITY : sink[head];
      shares[i] = softmax(scores);
    }
    return each(
        q.rows(),
        a.heads() * own,
        (t, c) -> {
          int head = c / own;
          int first = (int) a.firstSeen(t);
          float[] p = shares[t * a.heads() + head];
          float sum = 0;
          for (int j = first; j <= a.lastSeen(t, k.rows()); j++) {
            sum += p[j - first] * v.at(j, head * a.keyValueHeads() / a.heads() * own + c % own);
          }
          return sum;
        });
  }

  @Override
  public Activation place(Activation x, Architecture.Sinusoids positions) {
    int half = x.columns() / 2;
    return like(
        x,
        (t, c) -> {
          float f = (float) Math.exp(-(c % half) * (float) (Math.log(10000) / (half - 1)));
          float angle = (positions.first() + t) * f;
          return x.at(t, c) + (float) (c < half ? Math.sin(angle) : Math.cos(angle));
        });
  }

  @Override
  public void remember(int layer, Attention.Cross cross, Activation k, Activation v) {
    remembered.addAll(List.of(k, v));
  }

  @Override
  public Activation recall(int layer, Attention.Cross cross, Activation q) {
    return attend(
        layer, cross.attention(), q, remembered.getFirst(), remembered.getLast(), null, null, null);
  }

  /** With keys and values of every head. */
  @Override
  public Activation latent(
      int layer,
      Attention.MultiHeadLatent a,
      Activation q,
      Activation c,
      Activation r,
      @Nullable Activation seen,
      Leaf up) {
    if (seen != null) {
      throw new UnsupportedOperationException("which positions are chosen jumps");
    }
    Activation both = linear(c, up);
    int stride = a.plainSize() + a.valueSize();
    int wide = Math.max(a.headSize(), a.valueSize());
    // Heads all as wide as the wider of keys and values, with zeros, which change no sum.
    Activation queries =
        heads(a, wide, q.rows(), (t, h, i) -> i < a.headSize() ? q.at(t, h * a.headSize() + i) : 0);
    Activation keys =
        heads(
            a,
            wide,
            q.rows(),
            (t, h, i) -> {
              if (i < a.plainSize()) {
                return both.at(t, h * stride + i);
              }
              return i < a.headSize() ? r.at(t, i - a.plainSize()) : 0;
            });
    Activation values =
        heads(
            a,
            wide,
            q.rows(),
            (t, h, i) -> i < a.valueSize() ? both.at(t, h * stride + a.plainSize() + i) : 0);
    var grouped =
        new Attention.GroupedQuery(a.heads(), a.heads(), wide, a.softmaxScale(), null, null);
    Activation all = attend(layer, grouped, queries, keys, values, null, null, null);
    return each(
        q.rows(),
        a.heads() * a.valueSize(),
        (t, i) -> all.at(t, i / a.valueSize() * wide + i % a.valueSize()));
  }

  /** The scores that positions are chosen by. */
  @Override
  public Activation choose(
      int layer, Attention.Indexer n, int every, Activation q, Activation k, Activation w) {
    return each(
        q.rows(),
        q.rows() / every,
        (t, j) -> {
          float sum = 0;
          for (int h = 0; h < n.heads(); h++) {
            float product = 0;
            for (int i = 0; i < n.size(); i++) {
              product += q.at(t, h * n.size() + i) * k.at((j + 1) * every - 1, i);
            }
            sum += w.at(t, h) * Math.max(0, product);
          }
          return j >= (t + 1) / every ? 0 : sum;
        });
  }

  /** The scores that blocks are chosen by. */
  @Override
  public Activation chooseBlocks(int layer, Attention.BlockIndexer n, Activation q, Activation k) {
    int blocks = n.blocks(q.rows() - 1L);
    return each(
        q.rows(),
        n.heads() * blocks,
        (t, c) -> {
          int first = c % blocks * n.block();
          float most = Float.NEGATIVE_INFINITY;
          for (int j = first; j < Math.min(first + n.block(), t + 1); j++) {
            float product = 0;
            for (int i = 0; i < n.size(); i++) {
              product += q.at(t, c / blocks * n.size() + i) * k.at(j, i);
            }
            most = Math.max(most, product);
          }
          return first > t ? 0 : most;
        });
  }

  /** One number of a head. */
  @FunctionalInterface
  private interface OfHead {
    float at(int token, int head, int column);
  }

  private static Activation heads(
      Attention.MultiHeadLatent a, int width, int tokens, OfHead number) {
    return each(tokens, a.heads() * width, (t, c) -> number.at(t, c / width, c % width));
  }

  @Override
  public Activation convolve(Activation x, Leaf leaf) {
    StoredMatrix taps = weights.stored(leaf);
    int n = taps.columns();
    return like(
        x,
        (t, c) -> {
          float[] w = row(taps, c);
          float sum = 0;
          for (int j = Math.max(0, n - 1 - t); j < n; j++) {
            sum += w[j] * x.at(t - n + 1 + j, c);
          }
          return sum;
        });
  }

  @Override
  public Activation softplus(Activation x, double least) {
    return like(x, (t, c) -> Math.max(softplus(x.at(t, c)), (float) least));
  }

  @Override
  public Activation decay(Activation steps, Leaf leaf) {
    if (leaf.shape().rank() == 1) {
      float[] rate = vector(leaf);
      int alike = steps.columns() / rate.length;
      return like(steps, (t, c) -> exp(-exp(rate[c / alike]) * steps.at(t, c)));
    }
    StoredMatrix rates = weights.stored(leaf);
    int each = rates.columns();
    return each(
        steps.rows(),
        steps.columns() * each,
        (t, c) -> exp(-exp(row(rates, c / each)[c % each]) * steps.at(t, c / each)));
  }

  @Override
  public Activation assign(Leaf table) {
    throw new UnsupportedOperationException("a table has no errors");
  }

  @Override
  public Activation grouped(Activation x, Leaf matrices, int groups) {
    StoredMatrix w = weights.stored(matrices);
    int width = w.columns();
    int rows = w.rows() / groups;
    return each(
        x.rows(),
        w.rows(),
        (t, r) -> dot(x.values(), t * x.columns() + r / rows * width, row(w, r), 0, width));
  }

  @Override
  public Activation best(Activation scores, int count) {
    List<int[]> best = new ArrayList<>();
    for (int t = 0; t < scores.rows(); t++) {
      int token = t;
      best.add(Exact.descending(scores.columns(), e -> scores.at(token, e)));
    }
    return each(scores.rows(), count, (t, i) -> best.get(t)[i]);
  }

  @Override
  public Activation byExpert(Activation x, Leaf matrices, int experts, Activation chosen) {
    StoredMatrix w = weights.stored(matrices);
    int width = w.columns();
    int rows = w.rows() / experts;
    int apart = x.columns() == width ? 0 : width;
    return each(
        x.rows(),
        chosen.columns() * rows,
        (t, c) -> {
          int at = t * x.columns() + c / rows * apart;
          int row = (int) chosen.at(t, c / rows) * rows + c % rows;
          return dot(x.values(), at, row(w, row), 0, width);
        });
  }

  @Override
  public Activation rotateBack(Activation x, Rotary rotary, int headSize, int first) {
    return rotate(x, rotary, headSize, first, t -> -t);
  }

  @Override
  public Activation rotateToFirst(
      Activation x, Rotary rotary, int headSize, int first, int tokens) {
    return rotate(x, rotary, headSize, first, t -> Math.max(0, t + 1 - tokens));
  }

  @Override
  public Activation compress(Attention.Compression n, Activation c, Activation z, Leaf places) {
    StoredMatrix w = weights.stored(places);
    int size = n.overlapping() ? c.columns() / 2 : c.columns();
    int span = n.overlapping() ? 2 * n.tokens() : n.tokens();
    return each(
        c.rows(),
        size,
        (last, d) -> {
          if ((last + 1) % n.tokens() != 0) {
            return 0;
          }
          int first = Math.max(0, last + 1 - span);
          float[] scores = new float[last + 1 - first];
          float[] values = new float[scores.length];
          for (int i = 0; i < scores.length; i++) {
            int t = first + i;
            int column = n.overlapping() && t > last - n.tokens() ? size + d : d;
            scores[i] = z.at(t, column) + row(w, t % n.tokens())[column];
            values[i] = c.at(t, column);
          }
          float[] shares = softmax(scores);
          return dot(shares, 0, values, 0, shares.length);
        });
  }

  /** With entries after the tokens, as further keys and values of every head. */
  @Override
  public Activation compressed(
      int layer,
      Attention.Compressed a,
      Activation q,
      Activation v,
      @Nullable Activation entries,
      @Nullable Activation seen,
      Leaf sinks) {
    if (seen != null) {
      throw new UnsupportedOperationException("which entries are chosen jumps");
    }
    Attention.Compression n = a.compression();
    float[] sink = vector(sinks);
    int d = a.headSize();
    float[] y = new float[q.values().length];
    for (int t = 0; t < q.rows(); t++) {
      int first = (int) a.firstSeen(t);
      int near = t + 1 - first;
      int all = near + (n == null ? 0 : (t + 1) / n.tokens());
      float[][] rows = new float[all][];
      for (int j = 0; j < all; j++) {
        Activation of = j < near || entries == null ? v : entries;
        int at = j < near || n == null ? first + j : (j - near + 1) * n.tokens() - 1;
        rows[j] = Arrays.copyOfRange(of.values(), at * d, (at + 1) * d);
      }
      for (int head = 0; head < a.heads(); head++) {
        int from = t * q.columns() + head * d;
        float[] scores = new float[all + 1];
        for (int j = 0; j < all; j++) {
          scores[j] = dot(q.values(), from, rows[j], 0, d) * (float) a.softmaxScale();
        }
        scores[all] = sink[head];
        float[] shares = softmax(scores);
        for (int c = 0; c < d; c++) {
          for (int j = 0; j < all; j++) {
            y[from + c] += shares[j] * rows[j][c];
          }
        }
      }
    }
    return Activation.of(y, q.columns());
  }

  @Override
  public Activation connect(Architecture.Streams streams, Activation m, Leaf factors, Leaf shift) {
    float[] f = vector(factors);
    float[] b = vector(shift);
    int n = streams.count();
    float epsilon = (float) streams.epsilon();
    float[] y = new float[m.rows() * b.length];
    for (int t = 0; t < m.rows(); t++) {
      int to = t * b.length;
      for (int i = 0; i < b.length; i++) {
        y[to + i] = f[f.length == 1 ? 0 : Math.min(2, i / n)] * m.at(t, i) + b[i];
      }
      for (int i = 0; i < Math.min(b.length, 2 * n); i++) {
        y[to + i] = i < n ? sigmoid(y[to + i]) + epsilon : 2 * sigmoid(y[to + i]);
      }
      if (b.length == n) {
        continue;
      }
      int first = to + 2 * n;
      for (int row = first; row < first + n * n; row += n) {
        float[] shares = softmax(Arrays.copyOfRange(y, row, row + n));
        for (int i = 0; i < n; i++) {
          y[row + i] = shares[i] + epsilon;
        }
      }
      for (int i = 0; i < streams.iterations(); i++) {
        for (int row = 0; i > 0 && row < n; row++) {
          divide(y, first + row * n, 1, n, epsilon);
        }
        for (int column = 0; column < n; column++) {
          divide(y, first + column, n, n, epsilon);
        }
      }
    }
    return Activation.of(y, b.length);
  }

  private static void divide(float[] y, int first, int step, int count, float epsilon) {
    float sum = 0;
    for (int i = 0; i < count; i++) {
      sum += y[first + i * step];
    }
    for (int i = 0; i < count; i++) {
      y[first + i * step] /= sum + epsilon;
    }
  }

  @Override
  public Activation gather(Architecture.Streams streams, Activation by, Activation h) {
    int width = h.columns() / streams.count();
    return each(
        h.rows(),
        width,
        (t, c) -> {
          float sum = 0;
          for (int i = 0; i < streams.count(); i++) {
            sum += by.at(t, i) * h.at(t, i * width + c);
          }
          return sum;
        });
  }

  @Override
  public Activation spread(
      Architecture.Streams streams, Activation by, Activation h, Activation y) {
    int n = streams.count();
    return like(
        h,
        (t, c) -> {
          int k = c / y.columns();
          float sum = 0;
          for (int j = 0; j < n; j++) {
            sum += by.at(t, 2 * n + j * n + k) * h.at(t, j * y.columns() + c % y.columns());
          }
          return by.at(t, n + k) * y.at(t, c % y.columns()) + sum;
        });
  }

  @Override
  public Activation recur(
      States s, Activation q, Activation k, Activation v, Activation d, @Nullable Activation b) {
    float[] y = new float[v.values().length];
    for (int head = 0; head < s.valueHeads(); head++) {
      int key = head * s.keyHeads() / s.valueHeads() * s.keySize();
      for (int j = 0; j < s.valueSize(); j++) {
        int column = head * s.valueSize() + j;
        float[] state = new float[s.keySize()];
        for (int t = 0; t < v.rows(); t++) {
          float read = 0;
          for (int i = 0; i < state.length; i++) {
            state[i] *= d.at(t, s.byRow() ? head * state.length + i : head);
            read += state[i] * k.at(t, key + i);
          }
          float value = v.at(t, column);
          float written = b == null ? value : sigmoid(b.at(t, head)) * (value - read);
          float sum = 0;
          for (int i = 0; i < state.length; i++) {
            state[i] += k.at(t, key + i) * written;
            sum += state[i] * q.at(t, key + i);
          }
          y[t * v.columns() + column] = sum;
        }
      }
    }
    return Activation.of(y, v.columns());
  }

  @Override
  public Activation cosine(Routing.Cosine cosine, Activation x, Leaf matrix, Leaf temperature) {
    StoredMatrix w = weights.stored(matrix);
    Activation rows = unit(each(w.rows(), w.columns(), (e, c) -> row(w, e)[c]));
    Activation unit = unit(x);
    float factor = Math.min(exp(vector(temperature)[0]), (float) cosine.most());
    int n = x.columns();
    return each(
        x.rows(), w.rows(), (t, e) -> factor * dot(unit.values(), t * n, rows.values(), e * n, n));
  }

  /** Each row over its length. */
  private static Activation unit(Activation x) {
    return like(
        x,
        (t, c) -> {
          float squares = 0;
          for (float value : x.row(t)) {
            squares += value * value;
          }
          return x.at(t, c) / (float) Math.sqrt(squares);
        });
  }

  @Override
  public Activation constant(String words, double[] row) {
    return each(experts.size(), row.length, (t, c) -> (float) row[c]);
  }

  @Override
  public Activation score(Routing.Score score, Activation logits, int sets) {
    int size = logits.columns() / sets;
    return switch (score) {
      case SIGMOID -> like(logits, (t, e) -> sigmoid(logits.at(t, e)));
      case SOFTMAX ->
          like(
              logits,
              (t, e) -> {
                int from = e / size * size;
                return softmax(Arrays.copyOfRange(logits.row(t), from, from + size))[e - from];
              });
      case SQRT_SOFTPLUS -> like(logits, (t, e) -> (float) Math.sqrt(softplus(logits.at(t, e))));
      case IDENTITY, ONE -> logits;
    };
  }

  @Override
  public Activation favour(Activation scores, Leaf bias) {
    return shift(scores, bias);
  }

  @Override
  public Activation limit(Activation choice, Routing.Groups groups) {
    throw new UnsupportedOperationException("experts are given");
  }

  @Override
  public Activation top(Activation choice, int count, int sets) {
    return each(experts.size(), count, (t, i) -> experts.get(t)[i]);
  }

  @Override
  public Activation drop(Activation values, Activation chosen, Routing.Drops drops) {
    int[] queues = new int[values.columns()];
    float[] dropped = new float[chosen.values().length];
    int k = chosen.columns();
    var order = new ArrayList<Integer>();
    for (int t = 0; t < chosen.rows(); t++) {
      order.add(t);
    }
    if (drops.order() == Routing.Drops.Order.CHOICE_THEN_SCORE) {
      order.sort(Comparator.comparingDouble(t -> -values.at(t, (int) chosen.at(t, 0))));
    }
    for (int place = 0; place < dropped.length; place++) {
      int p = order.get(place % chosen.rows()) * k + place / chosen.rows();
      dropped[p] = ++queues[(int) chosen.values()[p]] > drops.capacity(chosen.rows()) ? 1 : 0;
    }
    return Activation.of(dropped, k);
  }

  @Override
  public Activation without(Activation weights, Activation dropped) {
    return like(weights, (t, i) -> dropped.at(t, i) == 1 ? 0 : weights.at(t, i));
  }

  @Override
  public Activation weigh(
      Activation all,
      Activation chosen,
      @Nullable Activation dropped,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    Activation raw = like(chosen, (t, i) -> all.at(t, (int) chosen.at(t, i)));
    Activation values = dropped == null ? raw : without(raw, dropped);
    float[] divisors = new float[chosen.rows()];
    Arrays.fill(divisors, 1);
    for (int t = 0; normalisation != null && t < divisors.length; t++) {
      float sum = 0;
      for (float value : values.row(t)) {
        sum += value;
      }
      float least = normalisation.least() == null ? sum : normalisation.least().floatValue();
      divisors[t] = Math.max(sum, least) + (float) normalisation.epsilon();
    }
    return like(chosen, (t, i) -> values.at(t, i) / divisors[t] * (float) scale);
  }

  @Override
  public Activation compete(
      Activation values, Activation chosen, Routing.Mixer mixer, double scale) {
    return like(
        chosen,
        (t, i) -> {
          float own = values.at(t, (int) chosen.at(t, i));
          float[] left = values.row(t).clone();
          for (int e = 0; e < left.length; e++) {
            float gap = (own - left[e]) / Math.max(Math.abs(left[e]), own);
            left[e] = gap > (float) mixer.tolerance() ? Float.NEGATIVE_INFINITY : left[e];
          }
          for (float other : chosen.row(t)) {
            float value = values.at(t, (int) other);
            left[(int) other] = value > own ? Float.NEGATIVE_INFINITY : left[(int) other];
          }
          return softmax(left)[(int) chosen.at(t, i)] * (float) scale;
        });
  }

  @Override
  public Activation descend(Routing.Hierarchy hierarchy, Activation p, Activation s, int count) {
    return top(s, count, 1);
  }

  @Override
  public Activation share(
      Routing.Hierarchy hierarchy, Activation p, Activation s, Activation chosen, double scale) {
    int size = s.columns() / hierarchy.groups();
    return like(
        chosen,
        (t, i) -> {
          float[] ofGroups = new float[hierarchy.groups()];
          for (float e : chosen.row(t)) {
            ofGroups[(int) e / size] += s.at(t, (int) e);
          }
          float kept = 0;
          for (int g = 0; g < ofGroups.length; g++) {
            kept += ofGroups[g] == 0 ? 0 : p.at(t, g);
          }
          int own = (int) chosen.at(t, i);
          float ofGroup = p.at(t, own / size) / kept;
          return ofGroup * (s.at(t, own) / ofGroups[own / size]) * (float) scale;
        });
  }

  @Override
  public Activation experts(Experts all, Activation x, Activation chosen, Activation weighed) {
    boolean before = all.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_INPUT;
    int count = all.count();
    int width = Math.toIntExact(all.network(0).down().shape().dim(0));
    int columns = all.tasks() * width;
    float[] sum = new float[x.rows() * columns];
    for (int id = 0; id < all.tasks() * count; id++) {
      for (int p = 0; p < chosen.values().length; p++) {
        if (chosen.values()[p] == id) {
          int t = p / chosen.columns();
          float w = weighed.values()[p];
          Activation row = each(1, x.columns(), (one, c) -> before ? w * x.at(t, c) : x.at(t, c));
          Activation y = Forward.network(this, row, all.network(id % count));
          int first = t * columns + id / count * width;
          for (int c = 0; c < width; c++) {
            sum[first + c] += before ? y.at(0, c) : w * y.at(0, c);
          }
        }
      }
    }
    for (int p = 0; p < chosen.values().length; p++) {
      int t = p / chosen.columns();
      boolean identity = all.identities() > 0 && chosen.values()[p] >= count;
      for (int c = 0; identity && c < columns; c++) {
        sum[t * columns + c] += weighed.values()[p] * x.at(t, c);
      }
    }
    return Activation.of(sum, columns);
  }

  @Override
  public Activation note(Step step, Activation x) {
    return x;
  }
}
