package dev.moxie.runtime.plain;

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
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * Reads a forward pass in float32, operation by operation: sums and functions are computed in
 * double precision, results are stored in float32. Of the layer read last it remembers the named
 * steps and what its experts were chosen by.
 */
public final class Plain implements Ops<Activation> {
  /** Tokens whose sums are faster computed side by side than one after the other. */
  private static final int TOGETHER = 8;

  private final Weights weights;
  private final Past past;
  private final long[] tokens;
  private final int first;
  private final @Nullable List<int[]> replayed;
  private final Map<Step, Activation> steps = new EnumMap<>(Step.class);
  private @Nullable Activation scores;
  private @Nullable Activation choice;
  private @Nullable Activation groups;

  /**
   * A reader for some new tokens of a sequence.
   *
   * @param tokens whose rows of an embedding are meant
   * @param first position of the first of them
   * @param replayed the experts of each where the caller decides them, else null
   */
  public Plain(
      Weights weights, Past past, long[] tokens, int first, @Nullable List<int[]> replayed) {
    this.weights = weights;
    this.past = past;
    this.tokens = tokens;
    this.first = first;
    this.replayed = replayed;
  }

  /** A step of the layer read last. */
  public Activation step(Step step) {
    return Objects.requireNonNull(steps.get(step), step.id());
  }

  /** The scores of the experts, [T, E]. */
  public Activation scores() {
    return Objects.requireNonNull(scores, "scores");
  }

  /** What experts were chosen by, before any mask, [T, E]. */
  public Activation choice() {
    return Objects.requireNonNull(choice, "choice");
  }

  /** What groups of experts were chosen by, [T, count]; null without groups. */
  public @Nullable Activation groups() {
    return groups;
  }

  @Override
  public Activation note(Step step, Activation x) {
    steps.put(step, x);
    return x;
  }

  @Override
  public Activation embed(Leaf table) {
    StoredMatrix matrix = weights.matrix(table);
    var hidden = new Activation(tokens.length, matrix.columns());
    float[] row = new float[matrix.columns()];
    for (int t = 0; t < tokens.length; t++) {
      matrix.read(Math.toIntExact(tokens[t]), row);
      System.arraycopy(row, 0, hidden.values(), t * row.length, row.length);
    }
    return hidden;
  }

  @Override
  public Activation linear(Activation x, Leaf leaf) {
    StoredMatrix matrix = weights.matrix(leaf);
    var y = new Activation(x.rows(), matrix.rows());
    int n = x.columns();
    boolean together = x.rows() >= TOGETHER;
    float[] columns = together ? x.transposed() : x.values();
    Work.each(
        matrix.rows(),
        (long) n * x.rows(),
        (from, to) -> {
          float[] row = new float[n];
          double[] sums = new double[x.rows()];
          for (int o = from; o < to; o++) {
            matrix.read(o, row);
            if (together) {
              Sums.dots(row, columns, sums);
            } else {
              Arrays.setAll(sums, t -> Sums.dot(row, 0, x.values(), t * n, n));
            }
            for (int t = 0; t < sums.length; t++) {
              y.set(t, o, sums[t]);
            }
          }
        });
    return y;
  }

  @Override
  public Activation shift(Activation x, Leaf vector) {
    float[] v = weights.vector(vector);
    return each(x, i -> (double) x.values()[i] + v[i % v.length]);
  }

  @Override
  public Activation scale(Activation x, double factor) {
    return each(x, i -> factor * x.values()[i]);
  }

  @Override
  public Activation norm(Activation x, Leaf weight, double epsilon) {
    return norms(x, weight, epsilon, x.columns());
  }

  @Override
  public Activation norms(Activation x, @Nullable Leaf weight, double epsilon, int size) {
    float[] w = weight == null ? null : weights.vector(weight);
    return norms(x, from -> 0, w, epsilon, size);
  }

  @Override
  public Activation centredNorm(Activation x, Leaf weight, double epsilon) {
    int n = x.columns();
    return norms(x, from -> mean(x.values(), from, n), weights.vector(weight), epsilon, n);
  }

  private static double mean(float[] x, int from, int count) {
    double sum = 0;
    for (int i = from; i < from + count; i++) {
      sum += x[i];
    }
    return sum / count;
  }

  /**
   * @param centre what is subtracted of the {@code size} numbers from one on
   */
  private static Activation norms(
      Activation x,
      IntToDoubleFunction centre,
      float @Nullable [] weight,
      double epsilon,
      int size) {
    var y = new Activation(x.rows(), x.columns());
    for (int from = 0; from < y.values().length; from += size) {
      double middle = centre.applyAsDouble(from);
      double squares = 0;
      for (int i = 0; i < size; i++) {
        double away = x.values()[from + i] - middle;
        squares += away * away;
      }
      double root = Math.sqrt(squares / size + epsilon);
      for (int i = 0; i < size; i++) {
        double normed = (x.values()[from + i] - middle) / root;
        y.values()[from + i] = (float) (weight == null ? normed : weight[i] * normed);
      }
    }
    return y;
  }

  @Override
  public Activation clip(Activation x, double limit) {
    return each(x, i -> Math.clamp(x.values()[i], -limit, limit));
  }

  @Override
  public Activation temper(Activation x, Attention.Temperature temperature) {
    return each(
        x,
        i -> {
          int position = first + i / x.columns();
          double floors = Math.floor((position + 1) / temperature.floor());
          return (1 + temperature.scale() * StrictMath.log1p(floors)) * x.values()[i];
        });
  }

  @Override
  public Activation add(Activation a, Activation b) {
    return each(a, i -> a.values()[i] + b.values()[i]);
  }

  @Override
  public Activation gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Activation gate, Activation up) {
    return switch (f) {
      case SILU ->
          clamp == null
              ? each(gate, i -> silu(gate.values()[i]) * up.values()[i])
              : each(gate, i -> clamped(clamp, gate.values()[i], up.values()[i]));
    };
  }

  private static double silu(double x) {
    return x * sigmoid(x);
  }

  private static double clamped(FeedForward.Clamp clamp, double gate, double up) {
    double g = Math.min(gate, clamp.limit());
    double u = Math.clamp(up, -clamp.limit(), clamp.limit());
    return g * sigmoid(clamp.sharpness() * g) * (u + clamp.offset());
  }

  @Override
  public Activation switched(Activation x, Activation by) {
    return each(x, i -> sigmoid(by.values()[i / x.columns()]) * x.values()[i]);
  }

  private static double sigmoid(double x) {
    return 1 / (1 + StrictMath.exp(-x));
  }

  /** An activation of the same shape. */
  private static Activation each(Activation like, IntToDoubleFunction value) {
    var y = new Activation(like.rows(), like.columns());
    for (int i = 0; i < y.values().length; i++) {
      y.values()[i] = (float) value.applyAsDouble(i);
    }
    return y;
  }

  @Override
  public Activation columns(Activation x, int from, int count) {
    var part = new Activation(x.rows(), count);
    copy(x, from, count, part, 0);
    return part;
  }

  @Override
  public Activation join(Activation a, Activation b) {
    var joined = new Activation(a.rows(), a.columns() + b.columns());
    copy(a, 0, a.columns(), joined, 0);
    copy(b, 0, b.columns(), joined, a.columns());
    return joined;
  }

  private static void copy(Activation from, int column, int count, Activation to, int place) {
    for (int t = 0; t < from.rows(); t++) {
      System.arraycopy(
          from.values(), t * from.columns() + column, to.values(), t * to.columns() + place, count);
    }
  }

  @Override
  public Activation rotate(Activation x, Rotary rotary, int headSize, int offset) {
    var angles = new RotaryAngles(rotary);
    boolean halves = rotary.pairing() == Rotary.Pairing.HALVES;
    Activation y = columns(x, 0, x.columns());
    for (int t = 0; t < x.rows(); t++) {
      for (int i = 0; i < angles.pairs(); i++) {
        double cos = angles.cos(first + t, i);
        double sin = angles.sin(first + t, i);
        int one = offset + (halves ? i : 2 * i);
        int two = offset + (halves ? i + angles.pairs() : 2 * i + 1);
        for (int head = 0; head < x.columns(); head += headSize) {
          double a = x.at(t, head + one);
          double b = x.at(t, head + two);
          y.set(t, head + one, a * cos - b * sin);
          y.set(t, head + two, b * cos + a * sin);
        }
      }
    }
    return y;
  }

  @Override
  public Activation attend(
      int layer,
      Attention.GroupedQuery a,
      Activation q,
      Activation k,
      Activation v,
      @Nullable Leaf sinks) {
    float[] scores = sinks == null ? null : weights.vector(sinks);
    return new Attending(first).grouped(a, q, past.append(layer, k, v), scores);
  }

  @Override
  public Activation latent(
      int layer, Attention.MultiHeadLatent a, Activation q, Activation c, Activation r, Leaf up) {
    return new Attending(first).latent(a, q, past.append(layer, c, r), weights.matrix(up));
  }

  @Override
  public Activation score(Routing.Score score, Activation logits) {
    scores =
        switch (score) {
          case SOFTMAX -> softmax(logits);
          case SIGMOID -> each(logits, i -> sigmoid(logits.values()[i]));
        };
    choice = null;
    groups = null;
    return scores;
  }

  private static Activation softmax(Activation x) {
    var y = new Activation(x.rows(), x.columns());
    double[] shares = new double[x.columns()];
    for (int t = 0; t < x.rows(); t++) {
      double max = Double.NEGATIVE_INFINITY;
      for (int c = 0; c < shares.length; c++) {
        max = Math.max(max, x.at(t, c));
      }
      double total = 0;
      for (int c = 0; c < shares.length; c++) {
        shares[c] = StrictMath.exp(x.at(t, c) - max);
        total += shares[c];
      }
      for (int c = 0; c < shares.length; c++) {
        y.set(t, c, shares[c] / total);
      }
    }
    return y;
  }

  @Override
  public Activation favour(Activation x, Leaf bias) {
    return shift(x, bias);
  }

  @Override
  public Activation limit(Activation unlimited, Routing.Groups limits) {
    choice = unlimited;
    int size = unlimited.columns() / limits.count();
    Activation aggregates = aggregates(limits, unlimited);
    groups = aggregates;
    Activation limited = columns(unlimited, 0, unlimited.columns());
    float mask =
        switch (limits.maskValue()) {
          case ZERO -> 0;
          case NEGATIVE_INFINITY -> Float.NEGATIVE_INFINITY;
        };
    for (int t = 0; t < unlimited.rows(); t++) {
      int[] order = largest(aggregates.row(t), limits.count());
      for (int i = limits.kept(); i < order.length; i++) {
        for (int e = order[i] * size; e < (order[i] + 1) * size; e++) {
          limited.set(t, e, mask);
        }
      }
    }
    return limited;
  }

  private static Activation aggregates(Routing.Groups limits, Activation values) {
    int size = values.columns() / limits.count();
    var aggregates = new Activation(values.rows(), limits.count());
    for (int t = 0; t < values.rows(); t++) {
      for (int g = 0; g < limits.count(); g++) {
        float[] group = Arrays.copyOfRange(values.row(t), g * size, (g + 1) * size);
        Arrays.sort(group);
        double aggregate =
            switch (limits.aggregate()) {
              case MAXIMUM -> group[size - 1];
              case SUM_OF_TOP_TWO -> (double) group[size - 1] + group[size - 2];
            };
        aggregates.set(t, g, aggregate);
      }
    }
    return aggregates;
  }

  @Override
  public Activation top(Activation values, int count) {
    choice = Objects.requireNonNullElse(choice, values);
    var chosen = new Activation(values.rows(), count);
    for (int t = 0; t < values.rows(); t++) {
      int[] experts = replayed == null ? largest(values.row(t), count) : replayed.get(t);
      for (int i = 0; i < count; i++) {
        chosen.set(t, i, experts[i]);
      }
    }
    return chosen;
  }

  /** The indices of the largest, largest first; of equal ones the lower. */
  private static int[] largest(float[] values, int count) {
    boolean[] taken = new boolean[values.length];
    int[] best = new int[count];
    for (int i = 0; i < count; i++) {
      int next = -1;
      for (int e = 0; e < values.length; e++) {
        if (!taken[e] && (next < 0 || values[e] > values[next])) {
          next = e;
        }
      }
      taken[next] = true;
      best[i] = next;
    }
    return best;
  }

  @Override
  public Activation weigh(
      Activation values,
      Activation chosen,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    var w = new Activation(chosen.rows(), chosen.columns());
    for (int t = 0; t < chosen.rows(); t++) {
      double sum = 0;
      for (int i = 0; i < chosen.columns(); i++) {
        sum += values.at(t, (int) chosen.at(t, i));
      }
      double divisor = normalisation == null ? 1 : normalisation.divisor(sum);
      for (int i = 0; i < chosen.columns(); i++) {
        w.set(t, i, values.at(t, (int) chosen.at(t, i)) / divisor * scale);
      }
    }
    return w;
  }

  @Override
  public Activation experts(Experts all, Activation x, Activation chosen, Activation weighed) {
    int count = Objects.requireNonNull(all.gateUp().stack()).experts();
    var sum = new Activation(x.rows(), x.columns());
    for (int expert = 0; expert < count; expert++) {
      addExpert(all, expert, x, chosen, weighed, sum);
    }
    return sum;
  }

  private void addExpert(
      Experts all,
      int expert,
      Activation x,
      Activation chosen,
      Activation weighed,
      Activation sum) {
    List<Integer> places = new ArrayList<>();
    for (int p = 0; p < chosen.values().length; p++) {
      if (chosen.values()[p] == expert) {
        places.add(p);
      }
    }
    if (places.isEmpty()) {
      return;
    }
    boolean before = all.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_INPUT;
    var rows = new Activation(places.size(), x.columns());
    for (int r = 0; r < places.size(); r++) {
      int t = places.get(r) / chosen.columns();
      double w = before ? weighed.values()[places.get(r)] : 1;
      for (int c = 0; c < x.columns(); c++) {
        rows.set(r, c, w * x.at(t, c));
      }
    }
    Activation y = Forward.network(this, rows, all.network(expert));
    for (int r = 0; r < places.size(); r++) {
      int t = places.get(r) / chosen.columns();
      double w = before ? 1 : weighed.values()[places.get(r)];
      for (int c = 0; c < y.columns(); c++) {
        sum.set(t, c, sum.at(t, c) + w * y.at(r, c));
      }
    }
  }
}
