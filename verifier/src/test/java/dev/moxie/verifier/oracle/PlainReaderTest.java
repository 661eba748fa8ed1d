package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Ops;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Past;
import dev.moxie.runtime.plain.Program;
import dev.moxie.runtime.plain.Value;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The CPU executor against the oracle on weights and architectures at random: every named step lies
 * within the bound of float32, and no part can be left out without leaving it.
 */
class PlainReaderTest {
  private static final int HIDDEN = 24;
  private static final int VOCABULARY = 40;
  private static final FeedForward.Clamp CLAMP = new FeedForward.Clamp(0.5, 1.702, 1);
  private static final int HEADS = 4;
  private static final int HEAD_SIZE = 12;
  private static final int EXPERTS = 8;
  private static final long[] TOKENS = {3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 3};

  /** What an architecture may have besides what all have. */
  enum Part {
    WINDOW,
    CHUNK,
    BIASES,
    OUTPUT_BIAS,
    NORM_OF_HEADS,
    NORM_OF_ALL_HEADS,
    NORM_AFTER_ROTATION,
    CLIP,
    SINKS,
    TEMPERATURE,
    TEMPERATURE_FROM_ZERO,
    OUTPUT_GATE,
    NO_POSITIONS,
    INTERLEAVED,
    PARTIAL_ROTATION,
    LINEAR,
    LLAMA3,
    LONGROPE,
    YARN,
    YARN_EXACT_BOUNDS,
    LATENT,
    STATES,
    STATES_BY_KEY_HEAD,
    STATES_APART,
    STATES_BY_ROW,
    UNTURNED_LATENT,
    CONVOLUTION,
    CONVOLUTION_WITH_BIASES,
    MAMBA,
    MAMBA_WITH_BIASES,
    MAMBA2,
    MAMBA2_WITH_ALL,
    LIGHTNING,
    INDEXER,
    CENTRED_NORMS,
    NORMS_OF_OUTPUTS,
    OFFSET_NORMS,
    NORM_BIASES,
    HEAD_BIAS,
    MULTIPLIERS,
    TIED_HEAD,
    DENSE,
    CLAMP,
    EXPERT_BIASES,
    SHARED,
    SWITCHED,
    SIGMOID,
    BIAS_OF_SELECTION,
    BIAS_OF_LOGITS,
    GROUPS,
    NORMALISED,
    NORMALISED_TO_LEAST,
    SCALE,
    MIXER,
    WEIGHTS_OF_INPUT,
    NORMS_OF_BOTH,
    NORMED_RESIDUAL,
    SCALED_RESIDUAL,
    LAYER_FACTORS,
    LOGIT_CAP,
    KEYS_AS_VALUES,
    VALUE_NORM,
    PROPORTIONAL,
    GELU,
    RELU_SQUARED,
    FIRST_HALVES_ALONE,
    SECOND_HALVES_ALONE,
    BESIDE,
    FACTORS,
    HALVES_SIDE_BY_SIDE,
    GATE_OF_NUMBERS,
    GATE_OF_HEADS,
    NARROW_VALUES,
    VALUE_FACTOR,
    SCORE_CAP,
    OUTPUT_FACTORS,
    ROUTER_CAP,
    RELU,
    UNGATED,
    DENSE_BIASES,
    DROPS,
    DROPS_OF_WEIGHED,
    PROTOTYPES,
    TASKS,
    HIERARCHY,
    COSINE,
    MIXED,
    DISTANCES,
    SINUSOIDS,
    LATENT_FACTOR,
    IDENTITIES,
    SHORTCUT,
    BLOCK_INDEXER
  }

  @ParameterizedTest
  @EnumSource(Part.class)
  void aPartIsComputedAndCannotBeLeftOut(Part part) {
    Architecture with = architecture(List.of(part));
    Architecture without = architecture(List.of());
    assertTrue(agree(with, with, new RandomWeights(1)));
    assertFalse(agree(with, without, new RandomWeights(1)));
  }

  @Test
  void whichPositionsAreSeenIsChosenAndCannotBeLeftOut() {
    Architecture with = architecture(List.of(Part.INDEXER));
    Architecture without = architecture(List.of(Part.LATENT));
    assertFalse(agree(with, without, new RandomWeights(1)));
    assertFalse(agree(without, with, new RandomWeights(1)));
  }

  @Property(tries = 60)
  void anyPartsTogetherLieWithinTheBoundOfFloat32(@ForAll Random random) {
    List<Part> parts = Arrays.stream(Part.values()).filter(part -> random.nextInt(3) == 0).toList();
    Architecture architecture = architecture(parts);
    var weights = new RandomWeights(random.nextInt());
    assertTrue(agree(architecture, architecture, weights), parts::toString);
    if (!architecture.looksAhead()) {
      assertPrefixesAgree(architecture, weights);
    }
  }

  @Test
  void queuesOfExpertsAreKeptFromStepToStep() {
    Routing routing = Routing.of(1, Routing.Score.SOFTMAX);
    Architecture with =
        architecture(List.of())
            .withBlocks(b -> routed(b, routing.withDrops(new Routing.Drops(2, null, false))));
    Architecture without = architecture(List.of()).withBlocks(b -> routed(b, routing));
    var weights = new RandomWeights(1);
    assertTrue(agree(with, with, weights));
    assertFalse(agree(with, without, weights));
    assertPrefixesAgree(with, weights);
  }

  private static Architecture.Blocks routed(Architecture.Blocks blocks, Routing routing) {
    var experts = (FeedForward.MixtureOfExperts) blocks.feedForward();
    return blocks.withFeedForward(experts.withRouting(routing));
  }

  /** A part of a forward pass, read, and what it computes. */
  private static final class Own {
    private final Pass pass = new Pass();
    private final Program program;
    private final Value input;
    private final Value output;

    Own(
        Architecture architecture,
        RandomWeights weights,
        BiFunction<Forward<Value>, Value, Value> part) {
      program = new Program(weights::stored, pass);
      input = program.input(HIDDEN);
      output = part.apply(forward(architecture, program), input);
    }

    float[] of(float[] hidden) {
      return of(hidden, TOKENS, new Past(), 0);
    }

    float[] of(float[] hidden, long[] tokens, Past past, int first) {
      pass.begin(null);
      pass.add(past, first, tokens, 0, tokens.length);
      pass.set(input, hidden);
      program.run();
      return pass.copy(output);
    }

    float[] step(Step step) {
      return pass.copy(program.step(step));
    }

    List<int[]> experts() {
      float[] chosen = step(Step.ROUTER_EXPERTS);
      int k = chosen.length / TOKENS.length;
      List<int[]> experts = new ArrayList<>();
      for (int t = 0; t < TOKENS.length; t++) {
        int[] ids = new int[k];
        for (int i = 0; i < k; i++) {
          ids[i] = (int) chosen[t * k + i];
        }
        experts.add(ids);
      }
      return experts;
    }
  }

  /** Whether what the executor computes is within the oracle's bounds, step by step. */
  private static boolean agree(Architecture exact, Architecture own, RandomWeights weights) {
    float[] nothing = new float[TOKENS.length * HIDDEN];
    float[] hidden = new Own(own, weights, (f, x) -> f.embedding()).of(nothing);
    boolean agree = within(hidden, forward(exact, oracle(weights, null)).embedding());
    for (int i = 0; i < exact.layers().size(); i++) {
      int layer = i;
      var executor = new Own(own, weights, (f, h) -> f.layer(layer, h));
      Estimate input = Estimate.exact(hidden, HIDDEN);
      float[] output = executor.of(hidden);
      boolean mixture =
          own.layers().get(layer).feedForward() instanceof FeedForward.MixtureOfExperts;
      Exact oracle = oracle(weights, mixture ? executor.experts() : null);
      Estimate expected = forward(exact, oracle).layer(layer, input);
      agree &= within(output, expected.without(oracle.undecided()));
      for (Step step : oracle.steps().keySet()) {
        agree &=
            !agree || within(executor.step(step), oracle.step(step).without(oracle.undecided()));
      }
      if (exact.layers().get(layer).feedForward() instanceof FeedForward.MixtureOfExperts m) {
        agree &= mayBeChosen(oracle.routed(m.routing()), executor.experts());
      }
      hidden = output;
    }
    float[] logits = new Own(own, weights, Forward::head).of(hidden);
    Estimate last = Estimate.exact(hidden, HIDDEN);
    return agree & within(logits, forward(exact, oracle(weights, null)).head(last));
  }

  private static boolean mayBeChosen(RoutingOracle.Routed exact, List<int[]> experts) {
    var selection = new Selection(exact);
    return IntStream.range(0, experts.size())
        .allMatch(t -> selection.mayChoose(t, Selection.set(experts.get(t))));
  }

  private static boolean within(float[] own, Estimate exact) {
    return Tolerance.compare(own, exact.toFloats(), exact).verdict().passed();
  }

  private static void assertPrefixesAgree(Architecture architecture, RandomWeights weights) {
    var executor = new Own(architecture, weights, (f, x) -> f.logits());
    float[] nothing = new float[TOKENS.length * HIDDEN];
    float[] together = executor.of(nothing);
    var past = new Past();
    int first = 0;
    for (int length : new int[] {1, 8, 3}) {
      long[] tokens = Arrays.copyOfRange(TOKENS, first, first + length);
      assertArrayEquals(
          Arrays.copyOfRange(together, first * VOCABULARY, (first + length) * VOCABULARY),
          executor.of(nothing, tokens, past, first));
      first += length;
    }
  }

  private static <V> Forward<V> forward(Architecture architecture, Ops<V> reader) {
    return new Forward<>(architecture, reader);
  }

  private static Exact oracle(RandomWeights weights, List<int[]> experts) {
    return new Exact(weights::exact, Arithmetic.of(Precision.F32), TOKENS, experts, null);
  }

  private static Architecture architecture(List<Part> parts) {
    Attention attention = attention(parts);
    FeedForward feedForward =
        parts.contains(Part.FIRST_HALVES_ALONE) ? new FeedForward.None() : feedForward(parts);
    var plain =
        new Architecture(
            VOCABULARY,
            HIDDEN,
            512,
            1e-5,
            parts.contains(Part.TIED_HEAD),
            List.of(run(parts, new Architecture.Blocks(2, attention, feedForward))),
            null);
    var multipliers = new Architecture.Multipliers(3, 0.5, 0.25);
    var multiplied =
        Parts.with(plain, "multipliers", parts.contains(Part.MULTIPLIERS) ? multipliers : null);
    Architecture.NormPlacement placement = placement(parts);
    var placed = Parts.with(multiplied, "normPlacement", placement);
    boolean centred = parts.contains(Part.CENTRED_NORMS);
    var norms = Parts.with(placed, "centredNorms", centred);
    var offset = Parts.with(norms, "offsetNorms", parts.contains(Part.OFFSET_NORMS) && !centred);
    boolean biased =
        parts.contains(Part.NORM_BIASES) && placement == null && !parts.contains(Part.BESIDE);
    var biases =
        Parts.with(
            Parts.with(offset, "normBiases", biased), "headBias", parts.contains(Part.HEAD_BIAS));
    var positions = parts.contains(Part.SINUSOIDS) ? new Architecture.Sinusoids(2, null) : null;
    return Parts.with(
        Parts.with(
            Parts.with(biases, "positions", positions),
            "layerFactors",
            parts.contains(Part.LAYER_FACTORS)),
        "logitCap",
        parts.contains(Part.LOGIT_CAP) ? 0.75 : null);
  }

  private static Architecture.Blocks run(List<Part> parts, Architecture.Blocks run) {
    boolean twice =
        run.feedForward() instanceof FeedForward.MixtureOfExperts m && m.shortcut() != null;
    boolean scaled =
        parts.contains(Part.SCALED_RESIDUAL) && !parts.contains(Part.HALVES_SIDE_BY_SIDE) && !twice;
    boolean first = scaled && !(run.attention() instanceof Attention.None);
    boolean second = scaled && !(run.feedForward() instanceof FeedForward.None);
    var one =
        Parts.with(
            run, "attentionResidual", first ? new Architecture.ResidualScale(1.5, 0.75) : null);
    return Parts.with(
        one, "feedForwardResidual", second ? new Architecture.ResidualScale(0.5, 1) : null);
  }

  private static FeedForward feedForward(List<Part> parts) {
    boolean ungated = parts.contains(Part.UNGATED);
    return parts.contains(Part.DENSE) || parts.contains(Part.DENSE_BIASES)
        ? new FeedForward.Dense(
            20,
            activation(parts),
            ungated,
            parts.contains(Part.DENSE_BIASES),
            parts.contains(Part.CLAMP) && !ungated ? CLAMP : null)
        : mixture(parts);
  }

  private static Architecture.@Nullable NormPlacement placement(List<Part> parts) {
    boolean whole =
        !parts.contains(Part.FIRST_HALVES_ALONE) && !parts.contains(Part.SECOND_HALVES_ALONE);
    if (parts.contains(Part.HALVES_SIDE_BY_SIDE) && !parts.contains(Part.BESIDE) && whole) {
      return Architecture.NormPlacement.SHARED_INPUT;
    }
    if (parts.contains(Part.NORMS_OF_BOTH)) {
      return Architecture.NormPlacement.INPUT_AND_OUTPUT;
    }
    if (parts.contains(Part.NORMED_RESIDUAL) && !parts.contains(Part.BESIDE)) {
      return Architecture.NormPlacement.RESIDUAL;
    }
    return parts.contains(Part.NORMS_OF_OUTPUTS) ? Architecture.NormPlacement.OUTPUT : null;
  }

  private static FeedForward.Activation activation(List<Part> parts) {
    if (parts.contains(Part.CLAMP)) {
      return FeedForward.Activation.SILU;
    }
    if (parts.contains(Part.RELU_SQUARED)) {
      return FeedForward.Activation.RELU_SQUARED;
    }
    if (parts.contains(Part.RELU)) {
      return FeedForward.Activation.RELU;
    }
    return parts.contains(Part.GELU)
        ? FeedForward.Activation.GELU_TANH
        : FeedForward.Activation.SILU;
  }

  private static Attention.@Nullable Temperature temperature(List<Part> parts) {
    boolean fromZero = parts.contains(Part.TEMPERATURE_FROM_ZERO);
    return fromZero || parts.contains(Part.TEMPERATURE)
        ? new Attention.Temperature(0.3, 3, fromZero)
        : null;
  }

  private static Attention attention(List<Part> parts) {
    if (parts.contains(Part.SECOND_HALVES_ALONE) && !parts.contains(Part.FIRST_HALVES_ALONE)) {
      return new Attention.None();
    }
    if (parts.contains(Part.UNTURNED_LATENT)) {
      return new Attention.MultiHeadLatent(
          HEADS, null, 16, 8, 6, 0.3, 1e-6, null, 5, temperature(parts), null, null);
    }
    if (parts.contains(Part.LATENT)
        || parts.contains(Part.LATENT_FACTOR)
        || parts.contains(Part.INDEXER)) {
      return latent(parts);
    }
    if (parts.contains(Part.STATES_BY_ROW)) {
      return new Attention.GatedDelta(
          2, HEADS, HEAD_SIZE, 10, 4, 1e-6, 1e-6, Attention.Projections.APART, 5, 7, true);
    }
    if (parts.contains(Part.STATES_APART)) {
      Attention.Projections apart = Attention.Projections.APART;
      return new Attention.GatedDelta(2, HEADS, HEAD_SIZE, 10, 4, 1e-6, 1e-6, apart);
    }
    if (parts.contains(Part.STATES) || parts.contains(Part.STATES_BY_KEY_HEAD)) {
      Attention.Projections projections =
          parts.contains(Part.STATES)
              ? Attention.Projections.BY_KIND
              : Attention.Projections.BY_KEY_HEAD;
      return new Attention.GatedDelta(2, HEADS, HEAD_SIZE, 10, 4, 1e-6, 1e-6, projections);
    }
    if (parts.contains(Part.CONVOLUTION) || parts.contains(Part.CONVOLUTION_WITH_BIASES)) {
      boolean biases = parts.contains(Part.CONVOLUTION_WITH_BIASES);
      return new Attention.ShortConvolution(HIDDEN + 7, 3, biases);
    }
    if (parts.contains(Part.MAMBA) || parts.contains(Part.MAMBA_WITH_BIASES)) {
      boolean biases = parts.contains(Part.MAMBA_WITH_BIASES);
      return new Attention.Mamba(HIDDEN + 7, 5, 3, 4, 1e-6, biases, biases);
    }
    if (parts.contains(Part.MAMBA2) || parts.contains(Part.MAMBA2_WITH_ALL)) {
      boolean all = parts.contains(Part.MAMBA2_WITH_ALL);
      return new Attention.Mamba2(
          HEADS, 2, HEAD_SIZE, 10, 4, 1e-6, all ? 2 : 1, all ? 0.5 : 0, all, all);
    }
    if (parts.contains(Part.LIGHTNING)) {
      return new Attention.Lightning(HEADS, HEAD_SIZE, 1e-6);
    }
    return grouped(parts);
  }

  private static Attention latent(List<Part> parts) {
    var indexer = new Attention.Indexer(5, HEAD_SIZE, 4, 1e-6, Rotary.Pairing.HALVES);
    return new Attention.MultiHeadLatent(
        HEADS,
        10,
        16,
        8,
        6,
        0.3,
        1e-6,
        rotary(parts),
        null,
        temperature(parts),
        parts.contains(Part.INDEXER) ? indexer : null,
        parts.contains(Part.LATENT_FACTOR) ? 1.7 : null);
  }

  private static Attention.@Nullable Gate gate(List<Part> parts) {
    if (parts.contains(Part.OUTPUT_GATE)) {
      return null;
    }
    if (parts.contains(Part.GATE_OF_HEADS)) {
      return new Attention.Gate(Attention.Opening.SOFTPLUS, true);
    }
    return parts.contains(Part.GATE_OF_NUMBERS)
        ? new Attention.Gate(Attention.Opening.SIGMOID, false)
        : null;
  }

  private static Attention grouped(List<Part> parts) {
    boolean narrow =
        parts.contains(Part.NARROW_VALUES)
            && !parts.contains(Part.OUTPUT_GATE)
            && !parts.contains(Part.KEYS_AS_VALUES);
    return new Attention.GroupedQuery(
        HEADS,
        2,
        HEAD_SIZE,
        0.4,
        parts.contains(Part.SCORE_CAP) ? 0.75 : null,
        parts.contains(Part.WINDOW) ? 5 : null,
        parts.contains(Part.CHUNK) ? 4 : null,
        parts.contains(Part.BIASES),
        parts.contains(Part.OUTPUT_BIAS),
        queryKeyNorm(parts),
        parts.contains(Part.CLIP) ? 0.75 : null,
        parts.contains(Part.SINKS),
        temperature(parts),
        parts.contains(Part.OUTPUT_GATE),
        gate(parts),
        parts.contains(Part.KEYS_AS_VALUES),
        narrow ? HEAD_SIZE - 5 : null,
        parts.contains(Part.VALUE_NORM) ? 1e-6 : null,
        parts.contains(Part.VALUE_FACTOR) ? 0.707 : null,
        parts.contains(Part.NO_POSITIONS) ? null : rotary(parts),
        false,
        parts.contains(Part.DISTANCES) ? new Attention.Distances(8, 10) : null,
        null,
        blockIndexer(parts));
  }

  private static Attention.@Nullable BlockIndexer blockIndexer(List<Part> parts) {
    boolean other =
        parts.contains(Part.WINDOW) || parts.contains(Part.CHUNK) || parts.contains(Part.DISTANCES);
    return parts.contains(Part.BLOCK_INDEXER) && !other
        ? new Attention.BlockIndexer(2, HEAD_SIZE, 3, 2, 1, 1e-6)
        : null;
  }

  private static Attention.QueryKeyNorm queryKeyNorm(List<Part> parts) {
    if (parts.contains(Part.NORM_OF_HEADS)) {
      return new Attention.QueryKeyNorm(Attention.NormSpan.HEAD, 1e-6, true, false);
    }
    if (parts.contains(Part.NORM_OF_ALL_HEADS)) {
      return new Attention.QueryKeyNorm(Attention.NormSpan.ALL_HEADS, 1e-6, true, false);
    }
    return parts.contains(Part.NORM_AFTER_ROTATION)
        ? new Attention.QueryKeyNorm(Attention.NormSpan.HEAD, 1e-6, false, true)
        : null;
  }

  private static Rotary rotary(List<Part> parts) {
    int dimensions = parts.contains(Part.PARTIAL_ROTATION) ? HEAD_SIZE / 2 : HEAD_SIZE;
    Rotary.Scaling scaling = null;
    if (parts.contains(Part.LINEAR)) {
      scaling = new Rotary.Linear(4);
    } else if (parts.contains(Part.LLAMA3)) {
      scaling = new Rotary.Llama3(8, 1, 4, 64);
    } else if (parts.contains(Part.LONGROPE)) {
      List<Double> factors = List.of(1.0, 1.5, 2.0, 2.5, 3.0, 4.0);
      scaling = new Rotary.LongRope(factors.subList(0, dimensions / 2), 1.1);
    } else if (parts.contains(Part.PROPORTIONAL)) {
      scaling = new Rotary.Proportional(2);
    } else if (parts.contains(Part.YARN)) {
      scaling = new Rotary.Yarn(4, 16, 32, 1, 1.1, 1.2);
    } else if (parts.contains(Part.YARN_EXACT_BOUNDS)) {
      scaling = new Rotary.Yarn(4, 16, 4, 1, 1, 1, true);
    }
    return new Rotary(
        100,
        dimensions,
        parts.contains(Part.INTERLEAVED) ? Rotary.Pairing.INTERLEAVED : Rotary.Pairing.HALVES,
        scaling);
  }

  private static FeedForward mixture(List<Part> parts) {
    boolean factored = parts.contains(Part.OUTPUT_FACTORS) && !parts.contains(Part.BESIDE);
    Routing drawn = routing(parts);
    boolean byTask =
        parts.contains(Part.TASKS)
            && drawn.prototypes() > 0
            && drawn.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_OUTPUT;
    Routing routing = byTask ? Parts.with(drawn, "expertsPerToken", EXPERTS) : drawn;
    var experts =
        new FeedForward.MixtureOfExperts(
            EXPERTS,
            16,
            activation(parts),
            parts.contains(Part.UNGATED) && !parts.contains(Part.CLAMP),
            parts.contains(Part.CLAMP) ? CLAMP : null,
            parts.contains(Part.EXPERT_BIASES),
            routing,
            (parts.contains(Part.SHARED)
                        || parts.contains(Part.SWITCHED)
                        || parts.contains(Part.MIXED)
                        || factored)
                    && !parts.contains(Part.BESIDE)
                ? new FeedForward.SharedExperts(
                    12,
                    parts.contains(Part.SWITCHED),
                    false,
                    parts.contains(Part.MIXED) && !parts.contains(Part.SWITCHED) && !factored)
                : null,
            parts.contains(Part.BESIDE) ? new FeedForward.Beside(12) : null,
            factored ? new FeedForward.OutputFactors(2, 0.5) : null);
    boolean one =
        routing.groups() == null && routing.prototypes() == 0 && routing.hierarchy() == null;
    int identities = parts.contains(Part.IDENTITIES) && one ? 3 : 0;
    var some = Parts.with(experts, Map.of("identities", identities, "byTask", byTask));
    return parts.contains(Part.SHORTCUT)
            && isAlone(some)
            && placement(parts) == null
            && seesAll(attention(parts))
        ? Parts.with(some, "shortcut", new FeedForward.Shortcut(12))
        : some;
  }

  private static boolean isAlone(FeedForward.MixtureOfExperts experts) {
    return experts.shared() == null && experts.beside() == null;
  }

  private static boolean seesAll(Attention attention) {
    return (attention instanceof Attention.GroupedQuery g && g.blockIndexer() == null)
        || (attention instanceof Attention.MultiHeadLatent a && a.indexer() == null);
  }

  private static Routing routing(List<Part> parts) {
    if (parts.contains(Part.HIERARCHY)) {
      var nested = Parts.with(Routing.of(4, Routing.Score.SOFTMAX), "scale", 1.5);
      return Parts.with(nested, "hierarchy", new Routing.Hierarchy(4, 2));
    }
    Routing.Bias bias = null;
    if (parts.contains(Part.BIAS_OF_SELECTION)) {
      bias = Routing.Bias.SELECTION;
    } else if (parts.contains(Part.BIAS_OF_LOGITS)) {
      bias = Routing.Bias.LOGITS;
    }
    Routing.Normalisation normalisation = null;
    if (parts.contains(Part.NORMALISED_TO_LEAST)) {
      normalisation = new Routing.Normalisation(0, 0.9);
    } else if (parts.contains(Part.NORMALISED)) {
      normalisation = new Routing.Normalisation(1e-20);
    }
    var routing =
        new Routing(
            3,
            parts.contains(Part.SIGMOID) ? Routing.Score.SIGMOID : Routing.Score.SOFTMAX,
            bias,
            parts.contains(Part.GROUPS)
                ? new Routing.Groups(
                    4,
                    2,
                    Routing.Groups.Aggregate.SUM_OF_TOP_TWO,
                    Routing.Groups.MaskValue.NEGATIVE_INFINITY)
                : null,
            normalisation,
            parts.contains(Part.SCALE) ? 2.5 : 1,
            parts.contains(Part.WEIGHTS_OF_INPUT)
                ? Routing.WeightsApplyTo.EXPERT_INPUT
                : Routing.WeightsApplyTo.EXPERT_OUTPUT,
            Routing.Capacity.UNLIMITED,
            Routing.Ties.LOWER_EXPERT_ID,
            Dtype.F32);
    var capped = Parts.with(routing, "logitCap", parts.contains(Part.ROUTER_CAP) ? 1.5 : null);
    var factored = Parts.with(capped, "factors", parts.contains(Part.FACTORS));
    if (parts.contains(Part.MIXER)) {
      return factored.withMixer(new Routing.Mixer(0.5));
    }
    if (parts.contains(Part.COSINE) && bias != Routing.Bias.LOGITS) {
      factored = Parts.with(factored, "cosine", new Routing.Cosine(10, 100));
    }
    boolean sets = parts.contains(Part.PROTOTYPES) || parts.contains(Part.TASKS);
    if (sets && !parts.contains(Part.GROUPS)) {
      factored = Parts.with(factored, Map.of("expertsPerToken", 4, "prototypes", 2));
    }
    boolean after = parts.contains(Part.DROPS_OF_WEIGHED);
    boolean drops = after || parts.contains(Part.DROPS);
    return drops && !parts.contains(Part.WEIGHTS_OF_INPUT)
        ? factored.withDrops(new Routing.Drops(after ? null : 4, after ? 0.3 : null, after))
        : factored;
  }
}
