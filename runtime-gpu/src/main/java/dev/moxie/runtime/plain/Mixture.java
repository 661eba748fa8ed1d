package dev.moxie.runtime.plain;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec.Leaf;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * The experts of a layer: the tokens of each are brought together, so that its weights are read
 * once for all of them. Threads share rows of the experts' matrices, first of gate and up, then of
 * down, and then the tokens, each of which sums its experts in the order of their ids. Where each
 * is weighed for several tasks, it is computed once for all of them.
 */
final class Mixture implements Instruction {
  private final Pass pass;
  private final Weights weights;
  private final Ops.Experts experts;
  private final Value x;
  private final Value chosen;
  private final Value weighed;
  private final Value y;
  private final boolean weightsBefore;
  private final int width;
  private final int tasks;

  /** What an expert makes, and how many a token has. */
  private final int made;

  private final int each;
  private final @Nullable Expert[] opened;

  /** Experts that some token chose, in order. */
  private final int[] active;

  /**
   * Of each expert, its first place among the places below, then of all that give back what they
   * are given together, and one more than the last's.
   */
  private final int[] first;

  /** Where the next token of an expert goes, while they are brought together. */
  private final int[] next;

  /** By expert, the place that the token has at it which was brought there last. */
  private final int[] last;

  /** By place, expert after expert: the token, and the weight for each task. */
  private int[] tokens = new int[0];

  private float[] shares = new float[0];

  /** By token, its places, that of the expert of lowest id first. */
  private int[] placesOfTokens = new int[0];

  /** What experts read, and after that what comes out of them. */
  private float[] read = new float[0];

  private float[] inside = new float[0];
  private int actives;
  private int gateRows;
  private int downRows;

  private ExpertMemory.@Nullable Layer kept;

  private final Team.Task gateAndUp = this::gateAndUp;
  private final Team.Task down = this::down;
  private final Team.Task sum = this::sum;

  /** The matrices of an expert. */
  private record Expert(
      @Nullable StoredMatrix gate, StoredMatrix up, StoredMatrix down, @Nullable Biases biases) {
    long storedBytes() {
      return (gate == null ? 0 : gate.storedBytes()) + up.storedBytes() + down.storedBytes();
    }
  }

  private record Biases(@Nullable StoredMatrix gate, StoredMatrix up, StoredMatrix down) {}

  Mixture(
      Pass pass,
      Weights weights,
      Ops.Experts experts,
      Value x,
      Value chosen,
      Value weighed,
      Value y) {
    this.pass = pass;
    this.weights = weights;
    this.experts = experts;
    this.x = x;
    this.chosen = chosen;
    this.weighed = weighed;
    this.y = y;
    weightsBefore = experts.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_INPUT;
    int count = experts.count();
    tasks = experts.tasks();
    made = y.columns() / tasks;
    each = chosen.columns() / tasks;
    width = Math.toIntExact(experts.network(0).up().shape().dim(0));
    opened = new Expert[count];
    active = new int[count];
    first = new int[count + 2];
    next = new int[count + 1];
    last = new int[count + 1];
  }

  @Override
  public void run() {
    bringTogether();
    fetch();
    for (int a = 0; a < actives; a++) {
      if (opened[active[a]] == null) {
        opened[active[a]] = open(active[a]);
      }
      pass.reads(expert(active[a]).storedBytes());
    }
    gatherInputs();
    if (actives > 0) {
      compute();
    }
    pass.team().each(pass.tokens(), (long) chosen.columns() * made, sum);
  }

  private void compute() {
    Expert any = expert(active[0]);
    clearPadding();
    long work = (long) first[first.length - 1] * width * x.columns();
    int matrices = any.gate() == null ? 1 : 2;
    gateRows = Product.rowsOfTurn(any.up(), matrices, pass.team());
    int turns = actives * Math.ceilDiv(width, gateRows);
    pass.team().each(turns, matrices * work / turns, gateAndUp);
    downRows = Product.rowsOfTurn(any.down(), 1, pass.team());
    turns = actives * Math.ceilDiv(made, downRows);
    pass.team().each(turns, work / turns, down);
  }

  /** Has the chosen experts brought into memory, where that is bounded. */
  private void fetch() {
    ExpertMemory memory = pass.experts();
    if (memory == null) {
      return;
    }
    if (kept == null) {
      kept = memory.layer(Objects.requireNonNull(experts.gateUp().layer()), opened.length);
    }
    for (int a = 0; a < actives; a++) {
      if (!kept.knows(active[a])) {
        kept.put(active[a], places(experts.network(active[a])));
      }
    }
    kept.bring(active, actives, first);
  }

  private List<MemorySegment> places(Ops.Network network) {
    Ops.Biases b = network.biases();
    return Stream.concat(
            Stream.of(network.gate(), network.up(), network.down()),
            b == null ? Stream.of() : Stream.of(b.gate(), b.up(), b.down()))
        .filter(Objects::nonNull)
        .flatMap(leaf -> weights.places(leaf).stream())
        .toList();
  }

  private Expert open(int expert) {
    Ops.Network network = experts.network(expert);
    Ops.Biases b = network.biases();
    return new Expert(
        opened(network.gate()),
        weights.matrix(network.up()),
        weights.matrix(network.down()),
        b == null
            ? null
            : new Biases(opened(b.gate()), weights.matrix(b.up()), weights.matrix(b.down())));
  }

  private @Nullable StoredMatrix opened(@Nullable Leaf gate) {
    return gate == null ? null : weights.matrix(gate);
  }

  private Expert expert(int id) {
    return Objects.requireNonNull(opened[id]);
  }

  private void bringTogether() {
    int places = pass.tokens() * each;
    if (tokens.length < places) {
      tokens = new int[places];
      shares = new float[places * tasks];
      placesOfTokens = new int[places];
    }
    read = pass.scratch().of(Scratch.Room.READ, Math.multiplyExact(places, x.apart()));
    inside =
        pass.scratch().of(Scratch.Room.INSIDE, Math.multiplyExact(places, Lanes.padded(width)));
    float[] ids = pass.array(chosen);
    float[] w = pass.array(weighed);
    Arrays.fill(next, 0);
    for (int t = 0; t < pass.tokens(); t++) {
      for (int i = 0; i < chosen.columns(); i++) {
        float id = ids[t * chosen.apart() + i];
        next[place(id)] += isFirst(id) ? 1 : 0;
      }
    }
    actives = 0;
    for (int e = 0; e < next.length; e++) {
      first[e + 1] = first[e] + next[e];
      if (next[e] > 0 && e < opened.length) {
        active[actives++] = e;
      }
      next[e] = first[e];
    }
    for (int t = 0; t < pass.tokens(); t++) {
      int from = t * chosen.apart();
      int to = t * each;
      for (int i = 0; i < chosen.columns(); i++) {
        float id = ids[from + i];
        if (isFirst(id)) {
          int expert = place(id);
          last[expert] = next[expert]++;
          tokens[last[expert]] = t;
          shares[last[expert] * tasks] = w[t * weighed.apart() + i];
          placesOfTokens[to++] = last[expert];
        }
      }
      for (int i = 0; i < chosen.columns(); i++) {
        float id = ids[from + i];
        if (!isFirst(id)) {
          int task = (int) id / opened.length;
          shares[last[place(id)] * tasks + task] = w[t * weighed.apart() + i];
        }
      }
      Arrays.sort(placesOfTokens, t * each, to);
    }
  }

  /** Whether an id is no other task's than the first: for that one each expert has a place. */
  private boolean isFirst(float id) {
    return tasks == 1 || id < opened.length;
  }

  /** Experts without weights are one; those of all tasks are those of the first. */
  private int place(float id) {
    return tasks == 1 ? Math.min((int) id, opened.length) : (int) id % opened.length;
  }

  private void gatherInputs() {
    boolean paired = actives > 0 && expert(active[0]).up().paired();
    int identities = first[opened.length];
    float[] from = pass.array(x);
    int apart = x.apart();
    for (int place = 0; place < first[first.length - 1]; place++) {
      int at = place * apart;
      if (paired && place < identities) {
        Pairs.arrange(from, tokens[place] * apart, read, at, apart);
      } else {
        System.arraycopy(from, tokens[place] * apart, read, at, apart);
      }
      if (weightsBefore) {
        for (int c = 0; c < x.columns(); c++) {
          read[at + c] *= shares[place];
        }
      }
    }
  }

  /** Where a row ends before its last lanes do, another layer may have left anything. */
  private void clearPadding() {
    int apart = Lanes.padded(width);
    for (int place = 0; apart > width && place < first[first.length - 1]; place++) {
      Arrays.fill(inside, place * apart + width, (place + 1) * apart, 0);
    }
  }

  private void gateAndUp(int turn, Scratch scratch) {
    int rows = gateRows;
    int turns = Math.ceilDiv(width, rows);
    int id = active[turn / turns];
    int row = turn % turns * rows;
    int count = Math.min(rows, width - row);
    Expert expert = expert(id);
    int at = first[id];
    int some = first[id + 1] - at;
    float[] up = scratch.of(Scratch.Room.UP, some * rows);
    product(expert.up(), row, count, at, some, up, rows, scratch);
    Biases biases = expert.biases();
    if (biases != null) {
      add(biases.up(), row, count, up, 0, some, rows, scratch);
    }
    float[] gate = up;
    if (expert.gate() != null) {
      gate = scratch.of(Scratch.Room.GATE, some * rows);
      product(expert.gate(), row, count, at, some, gate, rows, scratch);
      if (biases != null && biases.gate() != null) {
        add(biases.gate(), row, count, gate, 0, some, rows, scratch);
      }
    }
    for (int t = 0; t < some; t++) {
      int to = (at + t) * Lanes.padded(width);
      if (expert.gate() == null) {
        activate(experts.activation(), up, t * rows, count, up, t * rows);
      } else {
        gate(experts.activation(), experts.clamp(), gate, up, t * rows, count, gate, t * rows);
      }
      if (expert.down().paired()) {
        for (int i = 0; i < count; i++) {
          inside[to + Pairs.place(row + i)] = gate[t * rows + i];
        }
      } else {
        System.arraycopy(gate, t * rows, inside, to + row, count);
      }
    }
  }

  /** Some rows of a matrix that the tokens from a place on are multiplied with. */
  private void product(
      StoredMatrix matrix,
      int row,
      int count,
      int at,
      int some,
      float[] out,
      int apart,
      Scratch scratch) {
    int from = at * x.apart();
    Product.rows(matrix, row, count, read, from, x.apart(), some, out, 0, apart, scratch);
  }

  /** What {@link Ops#gate} says, of so many numbers from one on. */
  static void gate(
      FeedForward.Activation f,
      FeedForward.@Nullable Clamp clamp,
      float[] gate,
      float[] up,
      int from,
      int count,
      float[] out,
      int at) {
    switch (f) {
      case SILU -> {
        if (clamp == null) {
          int whole = count & -Lanes.WIDTH;
          for (int i = 0; i < whole; i += Lanes.WIDTH) {
            Numbers.silu(FloatVector.fromArray(Lanes.FLOATS, gate, from + i))
                .mul(FloatVector.fromArray(Lanes.FLOATS, up, from + i))
                .intoArray(out, at + i);
          }
          for (int i = whole; i < count; i++) {
            out[at + i] = Numbers.silu(gate[from + i]) * up[from + i];
          }
        } else {
          for (int i = 0; i < count; i++) {
            out[at + i] = Numbers.clamped(clamp, gate[from + i], up[from + i]);
          }
        }
      }
      case GELU_TANH, RELU, RELU_SQUARED -> {
        activate(f, gate, from, count, out, at);
        for (int i = 0; i < count; i++) {
          out[at + i] *= up[from + i];
        }
      }
    }
  }

  /** f(x). */
  static void activate(
      FeedForward.Activation f, float[] x, int from, int count, float[] out, int at) {
    switch (f) {
      case SILU -> {
        int whole = count & -Lanes.WIDTH;
        for (int i = 0; i < whole; i += Lanes.WIDTH) {
          Numbers.silu(FloatVector.fromArray(Lanes.FLOATS, x, from + i)).intoArray(out, at + i);
        }
        for (int i = whole; i < count; i++) {
          out[at + i] = Numbers.silu(x[from + i]);
        }
      }
      case GELU_TANH -> gelu(x, from, count, out, at);
      case RELU -> {
        for (int i = 0; i < count; i++) {
          out[at + i] = Math.max(0, x[from + i]);
        }
      }
      case RELU_SQUARED -> {
        for (int i = 0; i < count; i++) {
          float positive = Math.max(x[from + i], 0);
          out[at + i] = positive * positive;
        }
      }
    }
  }

  private static void gelu(float[] x, int from, int count, float[] out, int at) {
    int whole = count & -Lanes.WIDTH;
    for (int i = 0; i < whole; i += Lanes.WIDTH) {
      Numbers.gelu(FloatVector.fromArray(Lanes.FLOATS, x, from + i)).intoArray(out, at + i);
    }
    for (int i = whole; i < count; i++) {
      out[at + i] = Numbers.gelu(x[from + i]);
    }
  }

  private static void add(
      StoredMatrix bias,
      int row,
      int count,
      float[] y,
      int at,
      int tokens,
      int apart,
      Scratch scratch) {
    float[] values = scratch.of(Scratch.Room.ROW, bias.columns());
    bias.read(0, values, 0);
    for (int t = 0; t < tokens; t++) {
      for (int i = 0; i < count; i++) {
        y[at + t * apart + i] += values[row + i];
      }
    }
  }

  private void down(int turn, Scratch scratch) {
    int rows = downRows;
    int turns = Math.ceilDiv(made, rows);
    int id = active[turn / turns];
    int row = turn % turns * rows;
    int count = Math.min(rows, made - row);
    Expert expert = expert(id);
    int at = first[id];
    int some = first[id + 1] - at;
    int apart = Lanes.padded(width);
    int out = at * y.apart() + row;
    Product.rows(
        expert.down(), row, count, inside, at * apart, apart, some, read, out, y.apart(), scratch);
    Biases biases = expert.biases();
    if (biases != null) {
      add(biases.down(), row, count, read, out, some, y.apart(), scratch);
    }
  }

  private void sum(int t, Scratch scratch) {
    float[] out = pass.array(y);
    int to = t * y.apart();
    Arrays.fill(out, to, to + y.columns(), 0);
    for (int i = t * each; i < (t + 1) * each; i++) {
      int place = placesOfTokens[i];
      for (int task = 0; task < tasks; task++) {
        float share = weightsBefore ? 1 : shares[place * tasks + task];
        Sums.add(share, read, place * y.apart(), out, to + task * made, made);
      }
    }
  }
}
