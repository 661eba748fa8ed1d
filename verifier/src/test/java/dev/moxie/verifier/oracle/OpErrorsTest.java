package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.verifier.bounds.Tolerance;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The oracle's errors, one operation at a time, against those that float32 really makes ({@link
 * Single}): none exceeds its bound, and no bound is fifty times what it bounds, under which a
 * defect would hide. Once with the operation's own rounding alone, once with inputs that are off by
 * so much more that what it carries along is seen alone.
 */
class OpErrorsTest {
  private static final int DRAWS = 6;
  private static final double LEAST = 0.02;
  private static final double CARRIED = 0x1p-14;

  /**
   * Shapes at random.
   *
   * @param tokens T
   * @param width of what an operation reads
   * @param heads of queries
   * @param shared queries to a key
   * @param headSize an even number
   */
  private record Sizes(int tokens, int width, int heads, int shared, int headSize) {
    private static final int EXPERTS = 6;
    private static final int CHOSEN = 3;

    static Sizes draw(Random random) {
      int shared = 1 + random.nextInt(2);
      return new Sizes(
          6 + random.nextInt(10),
          8 + random.nextInt(80),
          shared * (1 + random.nextInt(2)),
          shared,
          4 + 2 * random.nextInt(12));
    }

    int queries() {
      return heads * headSize;
    }

    int keys() {
      return queries() / shared;
    }

    Leaf matrix(int rows, int columns) {
      return new TensorSpec("m", Role.HEAD, null, Shape.of(rows, columns), null).whole();
    }

    Leaf vector(int size) {
      return new TensorSpec("v", Role.FINAL_NORM, null, Shape.of(size), null).whole();
    }

    Attention.GroupedQuery attention() {
      double scale = 1 / Math.sqrt(headSize);
      return new Attention.GroupedQuery(heads, heads / shared, headSize, scale, null, null);
    }

    Rotary rotary(Rotary.Pairing pairing, Rotary.Scaling scaling) {
      return new Rotary(10_000, headSize, pairing, scaling);
    }

    Attention.MultiHeadLatent latent() {
      return new Attention.MultiHeadLatent(
          heads,
          null,
          width,
          headSize,
          headSize + 3,
          1 / Math.sqrt(headSize),
          1e-6,
          rotary(Rotary.Pairing.HALVES, null));
    }

    Attention.Compressed compressed(Attention.Compression entries) {
      Rotary rotary = rotary(Rotary.Pairing.INTERLEAVED, null);
      double scale = 1 / Math.sqrt(headSize);
      return new Attention.Compressed(
          heads, headSize, width, scale, 3, heads, 5, 1e-6, rotary, entries);
    }

    /** Two to a key. */
    Ops.States states(boolean byRow) {
      return new Ops.States(heads, 2 * heads, headSize, headSize + 3, byRow);
    }

    /** Experts half as wide inside as outside. */
    Ops.Experts experts(FeedForward.Clamp clamp, boolean biases, Routing.WeightsApplyTo to) {
      int inside = Math.ceilDiv(width, 2);
      List<Projection> two = List.of(Projection.GATE, Projection.UP);
      List<Projection> one = List.of(Projection.DOWN);
      return new Ops.Experts(
          stack(EXPERTS, Role.EXPERT_GATE_UP, two, Shape.of(inside, width)),
          stack(EXPERTS, Role.EXPERT_DOWN, one, Shape.of(width, inside)),
          biases
              ? new Ops.ExpertBiases(
                  stack(EXPERTS, Role.EXPERT_GATE_UP_BIAS, two, Shape.of(inside)),
                  stack(EXPERTS, Role.EXPERT_DOWN_BIAS, one, Shape.of(width)))
              : null,
          FeedForward.Activation.SILU,
          clamp,
          to,
          0,
          1);
    }

    /** Half as many for each of two tasks. */
    Ops.Experts tasks() {
      int count = EXPERTS / 2;
      return new Ops.Experts(
          stack(count, Role.EXPERT_UP, List.of(Projection.UP), Shape.of(9, width)),
          stack(count, Role.EXPERT_DOWN, List.of(Projection.DOWN), Shape.of(5, 9)),
          null,
          FeedForward.Activation.RELU,
          null,
          Routing.WeightsApplyTo.EXPERT_OUTPUT,
          0,
          2);
    }

    private static TensorSpec stack(
        int count, Role role, List<Projection> projections, Shape each) {
      var stack = new TensorSpec.Stack(0, count, projections, each);
      return new TensorSpec("layers.0." + role.tensor(), role, 0, stack.shape(), stack);
    }
  }

  private static final FeedForward.Clamp CLAMP = new FeedForward.Clamp(1, 1.702, 1);

  private static final Architecture.Streams STREAMS = new Architecture.Streams(3, 5, 1e-6);

  /** An operation on activations at random. */
  enum Operation {
    LINEAR {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.linear(x.get(0), s.matrix(17, s.width()));
      }
    },
    NORM {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.norm(x.get(0), s.vector(s.width()), 1e-5);
      }
    },
    CENTRED_NORM {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.centredNorm(x.get(0), s.vector(s.width()), 1e-5);
      }
    },
    NORMS_OF_HEADS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.norms(x.get(0), s.vector(s.headSize()), 1e-6, s.headSize());
      }
    },
    NORMS_WITHOUT_WEIGHTS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.norms(x.get(0), null, 1e-6, s.headSize());
      }
    },
    SHIFT {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.shift(x.get(0), s.vector(s.width()));
      }
    },
    SCALE {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.scale(x.get(0), 0.22);
      }
    },
    CLIP {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.clip(x.get(0), 0.75);
      }
    },
    TEMPER {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.temper(x.get(0), new Attention.Temperature(0.1, 3));
      }
    },
    ADD {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.add(x.get(0), x.get(1));
      }
    },
    GATE {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.gate(FeedForward.Activation.SILU, null, x.get(0), x.get(1));
      }
    },
    GATE_CLAMPED {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.gate(FeedForward.Activation.SILU, CLAMP, x.get(0), x.get(1));
      }
    },
    SWITCHED {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), 1);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.switched(Attention.Opening.SIGMOID, x.get(0), x.get(1));
      }
    },
    COLUMNS {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.columns(x.get(0), 3, 4);
      }
    },
    JOIN {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.headSize());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.join(x.get(0), x.get(1));
      }
    },
    ROTATE_HALVES {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.rotate(x.get(0), s.rotary(Rotary.Pairing.HALVES, null), s.headSize(), 0);
      }
    },
    ROTATE_INTERLEAVED_PART {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(2 * (s.headSize() + 3));
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Rotary rotary = s.rotary(Rotary.Pairing.INTERLEAVED, null);
        return ops.rotate(x.get(0), rotary, s.headSize() + 3, 3);
      }
    },
    ROTATE_LINEAR {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Rotary rotary = s.rotary(Rotary.Pairing.HALVES, new Rotary.Linear(3));
        return ops.rotate(x.get(0), rotary, s.headSize(), 0);
      }
    },
    ROTATE_LLAMA3 {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Rotary rotary = s.rotary(Rotary.Pairing.HALVES, new Rotary.Llama3(8, 1, 4, 64));
        return ops.rotate(x.get(0), rotary, s.headSize(), 0);
      }
    },
    ROTATE_LONGROPE {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var rope = new Rotary.LongRope(Collections.nCopies(s.headSize() / 2, 1.3), 1.2);
        return ops.rotate(x.get(0), s.rotary(Rotary.Pairing.HALVES, rope), s.headSize(), 0);
      }
    },
    ROTATE_YARN {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var yarn = new Rotary.Yarn(4, 64, 32, 1, 1.2, 1);
        return ops.rotate(x.get(0), s.rotary(Rotary.Pairing.HALVES, yarn), s.headSize(), 0);
      }
    },
    ATTEND {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.keys(), s.keys());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.attend(0, s.attention(), x.get(0), x.get(1), x.get(2), null, null, null);
      }
    },
    ATTEND_IN_WINDOW {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.keys(), s.keys());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Attention.GroupedQuery a = s.attention().withWindow(4);
        return ops.attend(0, a, x.get(0), x.get(1), x.get(2), null, null, null);
      }
    },
    ATTEND_IN_CHUNKS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.keys(), s.keys());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Attention.GroupedQuery a = Parts.with(s.attention(), "chunk", 4);
        return ops.attend(0, a, x.get(0), x.get(1), x.get(2), null, null, null);
      }
    },
    ATTEND_WITH_A_CAP {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.keys(), s.keys());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Attention.GroupedQuery a = Parts.with(s.attention(), "scoreCap", 0.75);
        return ops.attend(0, a, x.get(0), x.get(1), x.get(2), null, null, null);
      }
    },
    ATTEND_WITH_SINKS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.keys(), s.keys());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Leaf sinks = s.vector(s.heads());
        return ops.attend(0, s.attention(), x.get(0), x.get(1), x.get(2), null, sinks, null);
      }
    },
    LATENT {
      @Override
      List<Integer> widths(Sizes s) {
        Attention.MultiHeadLatent a = s.latent();
        return List.of(a.heads() * a.headSize(), a.latentSize(), a.rotary().dimensions());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Attention.MultiHeadLatent a = s.latent();
        Leaf up = s.matrix(a.heads() * (a.plainSize() + a.valueSize()), a.latentSize());
        return ops.latent(0, a, x.get(0), x.get(1), x.get(2), null, up);
      }
    },
    SCORE_SOFTMAX {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.score(Routing.Score.SOFTMAX, x.get(0), 1);
      }
    },
    SCORE_SIGMOID {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.score(Routing.Score.SIGMOID, x.get(0), 1);
      }
    },
    FAVOUR {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.favour(x.get(0), s.vector(s.width()));
      }
    },
    WEIGH {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return weighed(ops, x, null, 1);
      }
    },
    WEIGH_SCALED {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return weighed(ops, x, null, 2.5);
      }
    },
    WEIGH_NORMALISED {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return weighed(ops, x, new Routing.Normalisation(1e-20), 1);
      }
    },
    WEIGH_NORMALISED_TO_LEAST {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return weighed(ops, x, new Routing.Normalisation(0, 1.5), 1);
      }
    },
    COMPETE {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        V chosen = ops.top(x.get(0), Sizes.CHOSEN, 1);
        return ops.compete(x.get(0), chosen, new Routing.Mixer(0.7), 1);
      }
    },
    EXPERTS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), Sizes.CHOSEN);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Routing.WeightsApplyTo to = Routing.WeightsApplyTo.EXPERT_OUTPUT;
        return mixed(ops, s.experts(null, false, to), x);
      }
    },
    EXPERTS_CLAMPED_WITH_BIASES {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), Sizes.CHOSEN);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Routing.WeightsApplyTo to = Routing.WeightsApplyTo.EXPERT_OUTPUT;
        return mixed(ops, s.experts(CLAMP, true, to), x);
      }
    },
    EXPERTS_ON_WEIGHED_INPUT {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), Sizes.CHOSEN);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Routing.WeightsApplyTo to = Routing.WeightsApplyTo.EXPERT_INPUT;
        return mixed(ops, s.experts(null, false, to), x);
      }
    },
    EXPERTS_OF_TASKS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), Sizes.CHOSEN);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return mixed(ops, s.tasks(), x);
      }
    },
    OFFSET_NORMS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.offsetNorms(x.get(0), s.vector(s.headSize()), 1e-6, s.headSize());
      }
    },
    ACTIVATE {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.activate(FeedForward.Activation.SILU, x.get(0));
      }
    },
    SWITCHED_BY_HEAD {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.heads());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.switched(Attention.Opening.SOFTPLUS, x.get(0), x.get(1));
      }
    },
    SWITCHED_EACH {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.switched(Attention.Opening.SIGMOID, x.get(0), x.get(1));
      }
    },
    MULTIPLY {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.multiply(x.get(0), x.get(1));
      }
    },
    CONVOLVE {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.convolve(x.get(0), s.matrix(s.width(), 4));
      }
    },
    MULTIPLY_BY_FEWER {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.heads());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.multiply(x.get(0), x.get(1));
      }
    },
    SOFTPLUS {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.softplus(x.get(0), 0);
      }
    },
    SOFTPLUS_HELD {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.softplus(x.get(0), 0.5);
      }
    },
    DECAY {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.decay(ops.softplus(x.get(0), 0), s.vector(s.width()));
      }
    },
    DECAY_OF_ROWS {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.decay(ops.softplus(x.get(0), 0), s.matrix(s.width(), 3));
      }
    },
    DECAY_OF_HEADS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.decay(ops.softplus(x.get(0), 0), s.vector(s.heads()));
      }
    },
    RECUR {
      @Override
      List<Integer> widths(Sizes s) {
        return recurring(s.states(false), false);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return recurred(ops, s, s.states(false), x);
      }
    },
    RECUR_BY_ROW {
      @Override
      List<Integer> widths(Sizes s) {
        return recurring(s.states(true), false);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return recurred(ops, s, s.states(true), x);
      }
    },
    DELTA {
      @Override
      List<Integer> widths(Sizes s) {
        return recurring(s.states(false), true);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return recurred(ops, s, s.states(false), x);
      }
    },
    DELTA_BY_ROW {
      @Override
      List<Integer> widths(Sizes s) {
        return recurring(s.states(true), true);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return recurred(ops, s, s.states(true), x);
      }
    },
    OF_HEADS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.ofHeads(x.get(0), s.headSize(), 1, 2);
      }
    },
    CHOOSE {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.headSize(), s.heads());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var pairing = Rotary.Pairing.HALVES;
        var indexer = new Attention.Indexer(s.heads(), s.headSize(), 3, 1e-6, pairing);
        return ops.choose(0, indexer, 1, x.get(0), x.get(1), x.get(2));
      }
    },
    CHOOSE_ENTRIES {
      @Override
      List<Integer> widths(Sizes s) {
        return CHOOSE.widths(s);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var pairing = Rotary.Pairing.HALVES;
        var indexer = new Attention.Indexer(s.heads(), s.headSize(), 3, 1e-6, pairing);
        return ops.choose(0, indexer, 2, x.get(0), x.get(1), x.get(2));
      }
    },
    CHOOSE_BLOCKS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.headSize());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var indexer = new Attention.BlockIndexer(s.heads(), s.headSize(), 2, 2, 1, 1e-6);
        return ops.chooseBlocks(0, indexer, x.get(0), x.get(1));
      }
    },
    SCORE_SQRT_SOFTPLUS {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.score(Routing.Score.SQRT_SOFTPLUS, x.get(0), 1);
      }
    },
    GROUPED {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.grouped(x.get(0), s.matrix(5 * s.heads(), s.headSize()), s.heads());
      }
    },
    BY_EXPERT {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        V best = ops.best(x.get(0), Sizes.CHOSEN);
        return ops.byExpert(x.get(0), s.matrix(3 * s.width(), s.width()), s.width(), best);
      }
    },
    ROTATE_BACK {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(2 * (s.headSize() + 3));
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Rotary rotary = s.rotary(Rotary.Pairing.INTERLEAVED, null);
        return ops.rotateBack(x.get(0), rotary, s.headSize() + 3, 3);
      }
    },
    ROTATE_TO_FIRST {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.headSize() + 3);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Rotary rotary = s.rotary(Rotary.Pairing.INTERLEAVED, null);
        return ops.rotateToFirst(x.get(0), rotary, s.headSize() + 3, 3, 2);
      }
    },
    COMPRESS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.headSize(), s.headSize());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var entries = new Attention.Compression(2, false, null);
        return ops.compress(entries, x.get(0), x.get(1), s.matrix(2, s.headSize()));
      }
    },
    COMPRESS_OVERLAPPING {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(2 * s.headSize(), 2 * s.headSize());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var entries = new Attention.Compression(2, true, null);
        return ops.compress(entries, x.get(0), x.get(1), s.matrix(2, 2 * s.headSize()));
      }
    },
    COMPRESSED {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.headSize(), s.headSize());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var entries = new Attention.Compression(2, false, null);
        return ops.compressed(
            0, s.compressed(entries), x.get(0), x.get(1), x.get(2), null, s.vector(s.heads()));
      }
    },
    CONNECT {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(STREAMS.weights());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.connect(STREAMS, x.get(0), s.vector(3), s.vector(STREAMS.weights()));
      }
    },
    GATHER {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(STREAMS.weights(), STREAMS.count() * s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.gather(STREAMS, x.get(0), x.get(1));
      }
    },
    SPREAD {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(STREAMS.weights(), STREAMS.count() * s.width(), s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.spread(STREAMS, x.get(0), x.get(1), x.get(2));
      }
    },
    GATE_GELU {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.gate(FeedForward.Activation.GELU_TANH, null, x.get(0), x.get(1));
      }
    },
    ACTIVATE_RELU_SQUARED {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.activate(FeedForward.Activation.RELU_SQUARED, x.get(0));
      }
    },
    ACTIVATE_GELU {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.activate(FeedForward.Activation.GELU_TANH, x.get(0));
      }
    },
    GATE_RELU {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.gate(FeedForward.Activation.RELU, null, x.get(0), x.get(1));
      }
    },
    ACTIVATE_RELU {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.activate(FeedForward.Activation.RELU, x.get(0));
      }
    },
    SCORE_OF_PROTOTYPES {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(2 * s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.score(Routing.Score.SOFTMAX, x.get(0), 2);
      }
    },
    MIX {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.width(), s.width(), 2);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.mix(x.get(0), x.get(1), x.get(2));
      }
    },
    SHARE {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(4, 12);
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var hierarchy = new Routing.Hierarchy(4, 3);
        V p = ops.score(Routing.Score.SOFTMAX, x.get(0), 1);
        V e = ops.score(Routing.Score.SOFTMAX, x.get(1), 4);
        return ops.share(hierarchy, p, e, ops.descend(hierarchy, p, e, Sizes.CHOSEN), 2.5);
      }
    },
    COSINE {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var cosine = new Routing.Cosine(s.width(), 100);
        return ops.cosine(cosine, x.get(0), s.matrix(7, s.width()), s.vector(1));
      }
    },
    COSINE_HELD {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var cosine = new Routing.Cosine(s.width(), 0.01);
        return ops.cosine(cosine, x.get(0), s.matrix(7, s.width()), s.vector(1));
      }
    },
    WEIGH_WHAT_IS_KEPT {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        V scores = ops.score(Routing.Score.SIGMOID, x.get(0), 1);
        V chosen = ops.top(scores, Sizes.CHOSEN, 1);
        V dropped = ops.drop(scores, chosen, new Routing.Drops(null, 0.75, false));
        return ops.weigh(scores, chosen, dropped, new Routing.Normalisation(0, 1e-7), 2.5);
      }
    },
    DROP_WHAT_IS_WEIGHED {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        V scores = ops.score(Routing.Score.SIGMOID, x.get(0), 1);
        V chosen = ops.top(scores, Sizes.CHOSEN, 1);
        V dropped = ops.drop(scores, chosen, new Routing.Drops(null, 0.4, true));
        V weighed = ops.weigh(scores, chosen, null, new Routing.Normalisation(0), 2.5);
        return ops.without(weighed, dropped);
      }
    },
    DROP_ALL_BUT_THE_BEST {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        V scores = ops.score(Routing.Score.SOFTMAX, x.get(0), 1);
        V chosen = ops.top(scores, Sizes.CHOSEN, 1);
        var order = Routing.Drops.Order.CHOICE_THEN_SCORE;
        V dropped = ops.drop(scores, chosen, new Routing.Drops(1, null, null, order, false));
        return ops.weigh(scores, chosen, dropped, null, 1);
      }
    },
    TIMES {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.times(x.get(0), s.vector(1));
      }
    },
    TIMES_OF_HEADS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.times(x.get(0), s.vector(s.heads()));
      }
    },
    CAP {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.cap(x.get(0), 1.5);
      }
    },
    FACTORED {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(Sizes.CHOSEN, s.width());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        V chosen = ops.top(x.get(1), Sizes.CHOSEN, 1);
        return ops.factored(x.get(0), chosen, s.vector(s.width()));
      }
    },
    ATTEND_BY_DISTANCE {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.keys(), s.keys());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var a = Parts.with(s.attention(), "distances", new Attention.Distances(8, 20));
        Leaf biases = s.matrix(8, s.heads());
        return ops.attend(0, a, x.get(0), x.get(1), x.get(2), null, null, biases);
      }
    },
    ATTEND_BOTH_WAYS {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.keys(), s.keys());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        var a = Parts.with(s.attention(), "bidirectional", true);
        a = Parts.with(a, "distances", new Attention.Distances(8, 20));
        Leaf biases = s.matrix(8, s.heads());
        return ops.attend(0, a, x.get(0), x.get(1), x.get(2), null, null, biases);
      }
    },
    RECALL {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries(), s.queries(), s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        double scale = 1 / Math.sqrt(s.headSize());
        var cross = new Attention.Cross(s.heads(), s.headSize(), scale, false);
        ops.remember(0, cross, x.get(1), x.get(2));
        return ops.recall(0, cross, x.get(0));
      }
    },
    PLACE {
      @Override
      List<Integer> widths(Sizes s) {
        // One sinusoid alone would have no wavelength.
        return List.of(2 * (s.width() + 1));
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.place(x.get(0), new Architecture.Sinusoids(2, null));
      }
    },
    SITUATE {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.situate(x.get(0), s.vector(s.width()), s.matrix(s.tokens(), s.width()));
      }
    },
    FIRST {
      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        return ops.first(x.get(0));
      }
    },
    ROTATE_PROPORTIONAL {
      @Override
      List<Integer> widths(Sizes s) {
        return List.of(s.queries());
      }

      @Override
      <V> V of(Ops<V> ops, Sizes s, List<V> x) {
        Rotary rotary = s.rotary(Rotary.Pairing.HALVES, new Rotary.Proportional(s.headSize() / 4));
        return ops.rotate(x.get(0), rotary, s.headSize(), 0);
      }
    };

    abstract <V> V of(Ops<V> ops, Sizes s, List<V> x);

    /** Of the activations that it takes. */
    List<Integer> widths(Sizes s) {
      return List.of(s.width());
    }

    /**
     * Of sigmoids, which are positive, and not alone: what is neither normalised nor scaled is not
     * rounded again in float32, but is stored where that is lower.
     */
    private static <V> V weighed(
        Ops<V> ops, List<V> x, Routing.Normalisation normalisation, double scale) {
      V scores = ops.score(Routing.Score.SIGMOID, x.get(0), 1);
      return ops.weigh(scores, ops.top(scores, Sizes.CHOSEN, 1), null, normalisation, scale);
    }

    /** Of queries, keys, values, decays and, by the delta rule, what is written of values. */
    private static List<Integer> recurring(Ops.States states, boolean delta) {
      int keys = (int) states.keys();
      List<Integer> plain = List.of(keys, keys, (int) states.values(), (int) states.decays());
      return delta ? Stream.concat(plain.stream(), Stream.of(states.valueHeads())).toList() : plain;
    }

    private static <V> V recurred(Ops<V> ops, Sizes s, Ops.States states, List<V> x) {
      V q = ops.norms(x.get(0), null, 1e-6, s.headSize());
      V k = ops.scale(ops.norms(x.get(1), null, 1e-6, s.headSize()), 1 / Math.sqrt(s.headSize()));
      V d = ops.decay(ops.softplus(x.get(3), 0), s.vector((int) states.decays()));
      return ops.recur(states, q, k, x.get(2), d, x.size() > 4 ? x.get(4) : null);
    }

    private static <V> V mixed(Ops<V> ops, Ops.Experts experts, List<V> x) {
      return ops.experts(experts, x.get(0), ops.top(x.get(0), Sizes.CHOSEN, 1), x.get(1));
    }
  }

  /** What gives numbers that it was given, which no implementation rounds. */
  private static final Set<Operation> EXACT =
      EnumSet.of(
          Operation.CLIP,
          Operation.COLUMNS,
          Operation.FIRST,
          Operation.OF_HEADS,
          Operation.JOIN,
          Operation.ACTIVATE_RELU);

  @ParameterizedTest
  @EnumSource(Operation.class)
  void whatItRoundsLiesWithinItsBoundAndNotFarBelow(Operation operation) {
    assertBounded(operation, 0);
  }

  @ParameterizedTest
  @EnumSource(Operation.class)
  void whatItCarriesLiesWithinItsBoundAndNotFarBelow(Operation operation) {
    assertBounded(operation, CARRIED);
  }

  private static void assertBounded(Operation operation, double error) {
    for (int draw = 0; draw < DRAWS; draw++) {
      double share = share(operation, new Random(31L * operation.name().hashCode() + draw), error);
      boolean exact = error == 0 && EXACT.contains(operation);
      String message = "%s, draw %d: %.3f of the bound".formatted(operation, draw, share);
      assertTrue(exact ? share == 0 : LEAST <= share && share <= 1, message);
    }
  }

  /** The largest error of any number as a part of its bound. */
  private static double share(Operation operation, Random random, double error) {
    Sizes sizes = Sizes.draw(random);
    List<Estimate> exact = new ArrayList<>();
    List<Activation> single = new ArrayList<>();
    for (int width : operation.widths(sizes)) {
      float[] values = new float[sizes.tokens() * width];
      float[] off = new float[values.length];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) random.nextGaussian();
        off[i] = (float) (values[i] + error * random.nextGaussian());
      }
      exact.add(Estimate.uniform(values, width, error));
      single.add(Activation.of(off, width));
    }
    List<int[]> experts = experts(sizes, random);
    var weights = new RandomWeights(random.nextInt());
    var oracle =
        new Exact(weights::exact, Arithmetic.of(Precision.F32), new long[0], experts, null);
    Estimate expected = operation.of(oracle, sizes, exact);
    Activation actual = operation.of(new Single(weights, experts), sizes, single);
    double largest = 0;
    for (int i = 0; i < actual.values().length; i++) {
      int t = i / actual.columns();
      int c = i % actual.columns();
      double difference = Math.abs(actual.values()[i] - expected.value(t, c));
      double bound = Tolerance.bound(expected.error(t, c), actual.values().length);
      largest = Math.max(largest, difference == 0 ? 0 : difference / bound);
    }
    return largest;
  }

  /** Some of each token. */
  private static List<int[]> experts(Sizes sizes, Random random) {
    List<int[]> experts = new ArrayList<>();
    for (int t = 0; t < sizes.tokens(); t++) {
      List<Integer> all = new ArrayList<>(IntStream.range(0, Sizes.EXPERTS).boxed().toList());
      Collections.shuffle(all, random);
      experts.add(all.stream().limit(Sizes.CHOSEN).mapToInt(Integer::intValue).toArray());
    }
    return experts;
  }
}
