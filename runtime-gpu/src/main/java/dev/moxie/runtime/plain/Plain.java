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
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
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
  private final Map<Rotary, RotaryAngles> rotations = new HashMap<>();
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
    return Functions.each(x, i -> (double) x.values()[i] + v[i % v.length]);
  }

  @Override
  public Activation scale(Activation x, double factor) {
    return Functions.each(x, i -> factor * x.values()[i]);
  }

  @Override
  public Activation norm(Activation x, Leaf weight, double epsilon) {
    return norms(x, weight, epsilon, x.columns());
  }

  @Override
  public Activation norms(Activation x, @Nullable Leaf weight, double epsilon, int size) {
    float[] w = weight == null ? null : weights.vector(weight);
    return Functions.norms(x, from -> 0, w, epsilon, size);
  }

  @Override
  public Activation centredNorm(Activation x, Leaf weight, double epsilon) {
    int n = x.columns();
    return Functions.norms(
        x, from -> Functions.mean(x.values(), from, n), weights.vector(weight), epsilon, n);
  }

  @Override
  public Activation clip(Activation x, double limit) {
    return Functions.each(x, i -> Math.clamp(x.values()[i], -limit, limit));
  }

  @Override
  public Activation temper(Activation x, Attention.Temperature temperature) {
    return Functions.scaled(
        x,
        t -> {
          double floors = Math.floor((first + t + 1) / temperature.floor());
          return 1 + temperature.scale() * StrictMath.log1p(floors);
        });
  }

  @Override
  public Activation add(Activation a, Activation b) {
    return Functions.each(a, i -> a.values()[i] + b.values()[i]);
  }

  @Override
  public Activation gate(
      FeedForward.Activation f, FeedForward.@Nullable Clamp clamp, Activation gate, Activation up) {
    return switch (f) {
      case SILU ->
          clamp == null
              ? Functions.each(gate, i -> Functions.silu(gate.values()[i]) * up.values()[i])
              : Functions.each(
                  gate, i -> Functions.clamped(clamp, gate.values()[i], up.values()[i]));
    };
  }

  @Override
  public Activation switched(Activation x, Activation by) {
    return Functions.scaled(x, t -> Functions.sigmoid(by.at(t, 0)));
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
    RotaryAngles angles = rotations.computeIfAbsent(rotary, RotaryAngles::new);
    boolean halves = rotary.pairing() == Rotary.Pairing.HALVES;
    Activation y = x.copy();
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
          case SOFTMAX -> Functions.softmax(logits);
          case SIGMOID -> Functions.each(logits, i -> Functions.sigmoid(logits.values()[i]));
        };
    choice = null;
    groups = null;
    return scores;
  }

  @Override
  public Activation favour(Activation x, Leaf bias) {
    return shift(x, bias);
  }

  @Override
  public Activation limit(Activation unlimited, Routing.Groups limits) {
    choice = unlimited;
    groups = Choosing.aggregates(limits, unlimited);
    return Choosing.limited(limits, unlimited, groups);
  }

  @Override
  public Activation top(Activation values, int count) {
    choice = Objects.requireNonNullElse(choice, values);
    return Choosing.top(values, count, replayed);
  }

  @Override
  public Activation weigh(
      Activation values,
      Activation chosen,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    return Choosing.weights(values, chosen, normalisation, scale);
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
