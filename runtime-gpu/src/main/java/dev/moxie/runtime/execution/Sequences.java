package dev.moxie.runtime.execution;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Step;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Past;
import dev.moxie.runtime.plain.PastMemory;
import dev.moxie.runtime.plain.Program;
import dev.moxie.runtime.plain.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Several sequences on one model. What they step with, a prompt or a part of one, or the one token
 * that was chosen last, passes through the layers together, so that each weight is read once for
 * all of them. Logits have the same bits as if each sequence were alone, whatever else steps with
 * it, however its tokens are cut, and whether its beginning was computed or {@link Sequence#fork
 * forked}.
 *
 * <p>For one thread at a time.
 */
public final class Sequences {
  /** Tokens that pass through the layers together; more would only take more memory. */
  static final int TOGETHER = 128;

  private final PlainLayers layers;
  private final PastMemory memory;
  private final long blockBytes;
  private final int vocabulary;
  private final int layerCount;
  private final int expertsPerLayer;

  /** Tokens of the pass after which logits are wanted. */
  private final int[] wanted = new int[TOGETHER];

  /** And where these go. */
  private final Slice[] slices = new Slice[TOGETHER];

  private final int[] rows = new int[TOGETHER];

  /** Parts of slices whose experts are wanted, by where they begin in the pass. */
  private final List<Routed> routed = new ArrayList<>();

  private final ExpertLoad load;

  /** Null where no token is guessed. */
  private final @Nullable Predictor predictor;

  /** A token's experts in a layer, and their weights. */
  private final float[] chosen;

  private final float[] weighed;

  private final IntConsumer afterLayer = this::afterLayer;

  /** Is told of each layer of the step that is made. */
  private IntConsumer computed = layer -> {};

  private int steps;

  /** Tokens of a slice, from one on, that a pass has from a row on. */
  private record Routed(Slice slice, int token, int row, int count) {}

  /**
   * @param prediction layers that guess tokens; null where none are to be guessed
   */
  Sequences(PlainLayers layers, long bytes, Architecture.@Nullable Prediction prediction) {
    this.layers = layers;
    predictor = prediction == null ? null : new Predictor(layers, prediction);
    vocabulary = layers.architecture().vocabSize();
    layerCount = layers.architecture().layers().size();
    load = new ExpertLoad(layers.architecture());
    expertsPerLayer = IntStream.range(0, layerCount).map(load::expertsPerToken).max().orElse(0);
    chosen = new float[expertsPerLayer];
    weighed = new float[expertsPerLayer];
    // Where all layers have states, tokens take nothing.
    long predicted = prediction == null ? 0 : prediction.attention().cachedPerToken() * Float.BYTES;
    blockBytes = Math.max(1, (bytesPerToken(layers.architecture()) + predicted) * Past.BLOCK);
    long states = bytesOfStates(layers.architecture(), prediction != null);
    memory = new PastMemory(bytes / blockBytes, Math.ceilDiv(states, blockBytes));
  }

  /** Of one sequence; each state lies there twice, and before a guess once more ({@link Past}). */
  private static long bytesOfStates(Architecture architecture, boolean guessed) {
    return architecture.layers().stream()
        .mapToLong(layer -> layer.keptPerSequence() * (guessed ? 3 : 2) * Float.BYTES)
        .sum();
  }

  /** Blocks that a sequence of so many tokens takes beside another one that begins with them. */
  long blocksOfFork(int tokens) {
    return tokens == 0 ? 0 : memory.state() + (tokens % Past.BLOCK == 0 ? 0 : 1);
  }

  /** Whether layers keep of a sequence what none of its beginnings has. */
  public boolean haveStates() {
    return memory.state() > 0;
  }

  /** Whether {@link #guess} does. */
  public boolean canGuess() {
    return predictor != null;
  }

  private static long bytesPerToken(Architecture architecture) {
    return architecture.layers().stream()
        .mapToLong(layer -> layer.cachedPerToken() * Float.BYTES)
        .sum();
  }

  /**
   * What one sequence steps with.
   *
   * @param ids its next tokens, at least one
   * @param logits where those after its last tokens go, [n · V], of as many as it has room for;
   *     none after a part of a prompt that more is to follow
   * @param routes where what routers decide about the tokens goes ({@link Sequences#routes}); none
   *     where nobody asks
   * @param guessed whether its last token, of several, is one that may be {@link Sequence#cut cut}
   *     again although layers keep states
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  public record Slice(
      Sequence sequence, long[] ids, float[] logits, Routes routes, boolean guessed) {
    /** Whose tokens stay where layers keep states. */
    public Slice(Sequence sequence, long[] ids, float[] logits, Routes routes) {
      this(sequence, ids, logits, routes, false);
    }

    /** Whose experts nobody asks for. */
    public Slice(Sequence sequence, long[] ids, float[] logits) {
      this(sequence, ids, logits, Routes.NONE);
    }
  }

  /**
   * What follows the tokens of a slice that stay.
   *
   * @param token after the last of them
   * @param guessed whether the one after that is to be guessed
   */
  public record Next(Slice slice, long token, boolean guessed) {}

  /**
   * Room for what routers decide about some tokens.
   *
   * @param decisions whether weights and margins are wanted besides the experts
   */
  public Routes routes(int tokens, boolean decisions) {
    int layersOfAll = Math.multiplyExact(tokens, layerCount);
    int places = Math.multiplyExact(layersOfAll, expertsPerLayer);
    return new Routes(
        new int[places], new float[decisions ? places : 0], new float[decisions ? layersOfAll : 0]);
  }

  /** What tokens have chosen in all steps. */
  public ExpertLoad load() {
    return load;
  }

  /** As many as any layer chooses. */
  public int expertsPerLayer() {
    return expertsPerLayer;
  }

  /**
   * An empty sequence.
   *
   * @param capacity tokens that it may have at most; takes no memory
   */
  public Sequence begin(int capacity) {
    return new Sequence(this, new Past(memory), capacity, 0);
  }

  /** Bytes that sequences keep of their tokens now, what they share counted once. */
  public long bytes() {
    return memory.taken() * blockBytes;
  }

  /**
   * Whether there is memory for a step.
   *
   * @throws IllegalArgumentException if it could not be made with any
   */
  public boolean fit(List<Slice> step) {
    return lacks(step) <= memory.free();
  }

  /**
   * Lets tokens pass and computes the logits that are wanted after them. If that fails, no sequence
   * has gone on.
   *
   * @param step one slice of each sequence that goes on
   * @throws EnvironmentException if there is no memory for it, and nothing was done
   */
  public void step(List<Slice> step) {
    step(step, TOGETHER, layer -> {});
  }

  /**
   * As above.
   *
   * @param together tokens that pass together at most
   * @param observer is told of each layer as soon as it is computed
   */
  void step(List<Slice> step, int together, IntConsumer observer) {
    computed = observer;
    requireRoom(lacks(step));
    for (int i = 0; i < step.size(); i++) {
      Past past = step.get(i).sequence.past();
      past.restore();
      past.guess(step.get(i).guessed);
    }
    Pass pass = layers.pass();
    int next = 0;
    int done = 0;
    int before = 0;
    while (next < step.size()) {
      pass.begin(null);
      routed.clear(); // A step that failed may have left some.
      int count = 0;
      while (next < step.size() && pass.tokens() < together) {
        Slice slice = step.get(next);
        if (done == 0) {
          slice.sequence.begins(before + pass.tokens());
        }
        int some = Math.min(slice.ids.length - done, together - pass.tokens());
        if (slice.guessed && done + some == slice.ids.length - 1) {
          some--; // A guess passes with the token before it, for the state between them.
        }
        if (some == 0) {
          break;
        }
        int from = slice.ids.length - slice.logits.length / vocabulary;
        for (int i = Math.max(from, done); i < done + some; i++) {
          wanted[count] = pass.tokens() + i - done;
          slices[count] = slice;
          rows[count++] = i - from;
        }
        if (!slice.routes.isEmpty()) {
          routed.add(new Routed(slice, done, pass.tokens(), some));
        }
        Past past = slice.sequence.past();
        pass.add(past, slice.sequence.length() + done, slice.ids, done, some);
        done += some;
        if (done == slice.ids.length) {
          next++;
          done = 0;
        }
      }
      layers.run(afterLayer);
      if (predictor != null) {
        predictor.take(before);
      }
      before += pass.tokens();
      if (count > 0) {
        head(count);
      }
    }
    for (int i = 0; i < step.size(); i++) {
      step.get(i).sequence.advance(step.get(i).ids.length, step.get(i).guessed);
    }
  }

  /**
   * After a step: guesses tokens. The layer for multi-token prediction passes each token with the
   * one after it, so that this is called after each step for every sequence of it that goes on or
   * is forked later. Guesses are the same whatever else steps.
   *
   * @param after the slices, whose sequences may have been {@link Sequence#cut cut} since
   * @return of each the guess; −1 where none is wanted
   * @throws IllegalArgumentException if a slice is none of the last step
   */
  public int[] guess(List<Next> after) {
    for (Next next : after) {
      next.slice.sequence.requireUnforeseen(steps, next.slice.ids);
      Tokens.require(new long[] {next.token}, vocabulary, 0, 1);
    }
    return Objects.requireNonNull(predictor, "a layer that guesses").guess(after);
  }

  private void afterLayer(int layer) {
    computed.accept(layer);
    int count = load.expertsPerToken(layer);
    if (count > 0) {
      Value experts = layers.layer(layer).program().step(Step.ROUTER_EXPERTS);
      for (int t = 0; t < layers.pass().tokens(); t++) {
        layers.pass().copy(experts, t, chosen, 0);
        load.count(layer, chosen);
      }
    }
    for (int i = 0; i < routed.size(); i++) {
      Routed part = routed.get(i);
      for (int t = 0; t < part.count; t++) {
        take(layer, count, part.row + t, part.slice.routes, part.token + t);
      }
    }
  }

  /** Notes what a layer decided about a token of the pass. */
  private void take(int layer, int count, int row, Routes routes, int token) {
    int place = token * layerCount + layer;
    int at = place * expertsPerLayer;
    Program program = layers.layer(layer).program();
    if (count > 0) {
      layers.pass().copy(program.step(Step.ROUTER_EXPERTS), row, chosen, 0);
    }
    for (int i = 0; i < expertsPerLayer; i++) {
      routes.experts()[at + i] = i < count ? (int) chosen[i] : -1;
    }
    if (routes.areDecisions()) {
      if (count > 0) {
        layers.pass().copy(program.step(Step.ROUTER_WEIGHTS), row, weighed, 0);
        System.arraycopy(weighed, 0, routes.weights(), at, count);
      }
      routes.margins()[place] = margin(layer, program, row);
    }
  }

  private float margin(int layer, Program program, int row) {
    if (!(layers.architecture().layers().get(layer).feedForward()
        instanceof FeedForward.MixtureOfExperts moe)) {
      return Float.NaN;
    }
    Value groups = program.groups();
    Margin margin =
        Margin.of(
            moe.routing(), row(program.choice(), row), groups == null ? null : row(groups, row));
    return margin == null ? Float.NaN : (float) margin.gap();
  }

  private float[] row(Value value, int row) {
    float[] numbers = new float[value.columns()];
    layers.pass().copy(value, row, numbers, 0);
    return numbers;
  }

  private void head(int count) {
    Pass pass = layers.pass();
    PlainLayers.Part head = layers.head();
    pass.keep(wanted, count, head.input());
    head.program().run();
    for (int i = 0; i < count; i++) {
      pass.copy(head.output(), i, slices[i].logits, rows[i] * vocabulary);
    }
  }

  /** Blocks that a step takes. */
  private long lacks(List<Slice> step) {
    steps++;
    long blocks = 0;
    for (int i = 0; i < step.size(); i++) {
      Slice slice = step.get(i);
      slice.sequence.enter(steps);
      blocks += slice.sequence.lacks(this, slice.ids, vocabulary);
      if (slice.logits.length % vocabulary != 0
          || slice.logits.length / vocabulary > slice.ids.length
          || (slice.guessed && slice.ids.length < 2)
          || (!slice.routes.isEmpty()
              && slice.routes.experts().length
                  != slice.ids.length * layerCount * expertsPerLayer)) {
        throw new IllegalArgumentException(
            "%d logits and %d experts after %d tokens"
                .formatted(slice.logits.length, slice.routes.experts().length, slice.ids.length));
      }
    }
    return blocks;
  }

  void requireRoom(long blocks) {
    if (blocks > memory.free()) {
      throw new EnvironmentException(
          "memory for the tokens of sequences",
          "%d bytes, of which these need %d more"
              .formatted((memory.taken() + blocks) * blockBytes, blocks * blockBytes),
          "a limit of %d, of which %d are taken"
              .formatted((memory.taken() + memory.free()) * blockBytes, bytes()),
          "let a sequence end, or allow more");
    }
  }
}
