package dev.moxie.verifier.oracle;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.FeedForward.MixtureOfExperts;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Step;
import dev.moxie.format.trace.Trace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Reads a layer of a forward pass one stage at a time, each when it is asked for and from what a
 * trace recorded just before it: a stage that comes out otherwise is wrong itself, whatever the
 * stages before it did. The residual stream between the halves of a layer is what the second one
 * reads where that is not normed; else it is not recorded, and is the layer's output without the
 * second half's, to the rounding of that sum, where that is all there is to it. Several residual
 * streams, and one that cannot be had so, are computed from the input on for both halves.
 *
 * <p>Under a supposition the same stages are read again, but for the operations whose inputs and
 * weights it leaves alone.
 */
public final class Forced {

  /** What is computed between two records. */
  public enum Stage {
    /** Before the first layer. */
    EMBEDDING,
    ATTENTION,
    NORM,
    ROUTER,
    SELECTION,
    WEIGHTS,
    EXPERTS,
    SHARED,
    /** What experts make, normed, and the sum of that and the residual stream. */
    SUM,
    /** All of a layer without experts, inside which nothing is recorded. */
    DENSE,
    /** After the last layer. */
    HEAD;

    /** As reports name it. */
    public String id() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private final Architecture model;
  private final Weights weights;
  private final Precision precision;
  private final Recorded recorded;
  private final int layer;
  private final Memory memory;
  private final Map<Stage, Estimate> computed = new EnumMap<>(Stage.class);

  private Forced(
      Architecture model,
      Weights weights,
      Precision precision,
      Recorded recorded,
      int layer,
      Memory memory) {
    this.model = model;
    this.weights = weights;
    this.precision = precision;
    this.recorded = recorded;
    this.layer = layer;
    this.memory = memory;
  }

  /**
   * A layer as a model has it.
   *
   * @param precision of the implementation that recorded the trace
   */
  public Forced(
      Architecture model, Weights weights, Precision precision, Recorded recorded, int layer) {
    this(model, weights, precision, recorded, layer, Memory.empty());
  }

  /** The layer as it would be under a supposition. */
  public Forced supposing(Architecture other, Weights others) {
    return new Forced(other, others, precision, recorded, layer, memory.forReading());
  }

  /** The layer's number. */
  public int layer() {
    return layer;
  }

  /** The model that is read. */
  public Architecture model() {
    return model;
  }

  /** Whether the layer has experts. */
  public boolean isRouted() {
    return feedForward() instanceof MixtureOfExperts;
  }

  /** The experts of a layer that has some. */
  public MixtureOfExperts moe() {
    return (MixtureOfExperts) feedForward();
  }

  private FeedForward feedForward() {
    return model.layers().get(layer).feedForward();
  }

  /** The stages of the layer that the trace has both ends of, in the order of computation. */
  public List<Stage> stages() {
    return switch (feedForward()) {
      case FeedForward.Dense _, FeedForward.None _ -> List.of(Stage.DENSE);
      case MixtureOfExperts moe ->
          has(Step.MOE_INPUT) && has(Step.MOE_OUTPUT)
              ? Stream.of(Stage.values())
                  .filter(s -> s.compareTo(Stage.ATTENTION) >= 0 && s.compareTo(Stage.SUM) <= 0)
                  .filter(s -> s != Stage.ROUTER || has(Step.ROUTER_LOGITS))
                  .filter(s -> s != (hasResidual() ? Stage.SUM : Stage.NORM))
                  .toList()
              : List.of();
    };
  }

  /**
   * What the trace has at the end of a stage, if the model is right; with an error where that is a
   * difference of two records.
   */
  public Estimate recorded(Stage stage) {
    return switch (stage) {
      case EMBEDDING -> given(Step.INPUT);
      case ATTENTION -> residual();
      case NORM -> given(Step.MOE_INPUT);
      case ROUTER -> given(Step.ROUTER_LOGITS);
      case SELECTION -> given(Step.ROUTER_EXPERTS);
      case WEIGHTS -> given(Step.ROUTER_WEIGHTS);
      case EXPERTS -> given(Step.EXPERTS_OUTPUT);
      case SHARED ->
          joinsApart()
              ? given(Step.MOE_OUTPUT)
              : difference(Step.MOE_OUTPUT, ofRouted(), Step.EXPERTS_OUTPUT);
      case SUM, DENSE -> given(Step.OUTPUT);
      case HEAD -> memory.record(recorded::logits, "logits");
    };
  }

  /** A step as it was recorded, without error. */
  public Estimate given(Step step) {
    return memory.record(() -> recorded.get(layer, step), step);
  }

  /** Whether a step of the layer was recorded. */
  public boolean has(Step step) {
    return recorded.has(layer, step);
  }

  /** The experts of each token. */
  public List<int[]> experts() {
    return recorded.experts(layer);
  }

  /** What some multiple of one step was added to, where only the sum was recorded. */
  private Estimate difference(Step sum, double factor, Step summand) {
    Estimate whole = given(sum);
    Estimate part = given(summand);
    return memory.record(() -> whole.minus(part, factor, precision), sum, factor, summand);
  }

  /**
   * Whether the residual stream between the halves is the difference of two records; else what the
   * second one reads stands in its place.
   */
  private boolean hasResidual() {
    return !model.addsToWhatItReads(feedForward())
        && !model.hasOutputNorms()
        && !model.layerFactors()
        && !attendsAgain()
        && model.layers().get(layer).feedForwardResidual() == null
        && model.streams() == null;
  }

  /** Whether more than what experts make comes after what they read. */
  public boolean attendsAgain() {
    return isRouted() && moe().shortcut() != null;
  }

  /** Whether the second half is added to what it reads. */
  private boolean addsToWhatItReads() {
    return model.addsToWhatItReads(feedForward()) && model.streams() == null;
  }

  /** Whether what experts make is changed before anything is added to it. */
  private boolean joinsApart() {
    FeedForward.SharedExperts shared = moe().shared();
    return moe().beside() != null || moe().outputBias() || (shared != null && shared.mixed());
  }

  /** What the sum over experts is multiplied by before anything is added to it. */
  private double ofRouted() {
    FeedForward.OutputFactors factors = moe().outputFactors();
    return factors == null ? 1 : factors.routed();
  }

  private Estimate besides(
      Forward<Estimate> forward, FeedForward.@Nullable SharedExperts shared, Estimate x) {
    return shared == null
        ? Estimate.zeros(x.rows(), x.columns())
        : forward.shared(layer, moe(), shared, x);
  }

  private Estimate residual() {
    if (!hasResidual()) {
      return given(Step.MOE_INPUT);
    }
    Architecture.Multipliers multipliers = model.multipliers();
    double factor = multipliers == null ? 1 : multipliers.residual();
    return difference(Step.OUTPUT, factor, Step.MOE_OUTPUT);
  }

  /** What the model makes of the records before a stage. */
  public Estimate computed(Stage stage) {
    Estimate known = computed.get(stage);
    if (known == null) {
      Exact reader = reader(null);
      known = compute(stage, new Forward<>(model, reader)).without(reader.undecided());
      computed.put(stage, known);
    }
    return known;
  }

  private Estimate compute(Stage stage, Forward<Estimate> forward) {
    return switch (stage) {
      case EMBEDDING -> forward.embedding();
      case ATTENTION ->
          hasResidual() ? attended(forward) : forward.normed(layer, attended(forward));
      case NORM ->
          forward.normed(layer, model.hasParallelHalves() ? given(Step.INPUT) : residual());
      case ROUTER -> forward.routerLogits(layer, moe(), given(Step.MOE_INPUT));
      case SELECTION -> Estimate.of(routed().experts());
      case WEIGHTS -> route(experts()).weights();
      case EXPERTS -> {
        var routed = new Forward.Routed<>(Estimate.of(experts()), given(Step.ROUTER_WEIGHTS));
        yield forward.experts(layer, moe(), given(Step.MOE_INPUT), routed);
      }
      case SHARED ->
          joinsApart()
              ? forward.joined(layer, moe(), given(Step.MOE_INPUT), given(Step.EXPERTS_OUTPUT))
              : besides(forward, moe().shared(), given(Step.MOE_INPUT));
      case SUM -> {
        Estimate before = addsToWhatItReads() ? given(Step.MOE_INPUT) : attended(forward);
        yield forward.added(layer, before, given(Step.MOE_OUTPUT));
      }
      case DENSE -> remembering(forward).layer(layer, given(Step.INPUT));
      case HEAD -> forward.head(given(Step.OUTPUT));
    };
  }

  /** The residual stream, or streams, between the halves of the layer. */
  private Estimate attended(Forward<Estimate> forward) {
    return remembering(forward)
        .met(
            layer,
            forward.attended(layer, model.layers().get(layer).attention(), given(Step.INPUT)));
  }

  /** A pass in which the layer, if it is one of a decoder, sees what the encoder left. */
  private Forward<Estimate> remembering(Forward<Estimate> forward) {
    if (model.layers().get(layer).cross() != null) {
      int last = model.encoderLayers() - 1;
      Estimate left = memory.record(() -> recorded.get(last, Step.OUTPUT), "encoded");
      forward.remember(layer, forward.encoded(left));
    }
    return forward;
  }

  /**
   * What a prediction layer says.
   *
   * @param logits [T − 1 − index, V]
   * @param routed how it chose experts, which no trace records; null without any
   * @param undecided as in {@link Oracle.Layer}
   */
  public record Predicted(
      Estimate logits, RoutingOracle.@Nullable Routed routed, BitSet undecided) {}

  /**
   * The prediction layers that the trace has logits of, from the last decoder layer's recorded
   * output.
   */
  public List<Predicted> predicted() {
    int tokens = recorded.ids().length;
    int[] rows = IntStream.rangeClosed(1, recorded.predictions()).map(i -> tokens - i).toArray();
    return predicted(Arithmetic.of(precision), rows, List.of());
  }

  /**
   * The same with errors as large as they get where they have a cause in common.
   *
   * @param rows so many of each layer's; no more than of the layer before
   */
  public List<Predicted> sampled(List<Predicted> exact, int[] rows) {
    List<Estimate> logits = new ArrayList<>();
    for (int i = 0; i < rows.length; i++) {
      logits.add(exact.get(i).logits().beginning(rows[i]));
    }
    List<Estimate> widened =
        Sampled.widen(
            logits,
            random ->
                predicted(Arithmetic.of(precision).with(random), rows, exact).stream()
                    .map(Predicted::logits)
                    .toList());
    List<Predicted> sampled = new ArrayList<>();
    for (int i = 0; i < rows.length; i++) {
      Predicted one = exact.get(i);
      sampled.add(new Predicted(widened.get(i), one.routed(), one.undecided()));
    }
    return sampled;
  }

  private List<Predicted> predicted(Arithmetic arithmetic, int[] rows, List<Predicted> replayed) {
    List<Predicted> predicted = new ArrayList<>();
    if (rows.length == 0) {
      return predicted;
    }
    Architecture.Prediction layers = Objects.requireNonNull(model.prediction());
    var start = new Exact(weights::of, arithmetic, recorded.ids(), null, null);
    Estimate h = new Forward<>(model, start).headInput(given(Step.OUTPUT).beginning(rows[0]));
    for (int index = 0; index < rows.length; index++) {
      long[] after = Arrays.copyOfRange(recorded.ids(), index + 1, index + 1 + rows[index]);
      RoutingOracle.Routed known = replayed.isEmpty() ? null : replayed.get(index).routed();
      List<int[]> experts = known == null ? null : known.experts().subList(0, rows[index]);
      var reader = new Exact(weights::of, arithmetic, after, experts, null);
      var forward = new Forward<>(model, reader);
      h = forward.predicted(layers, index, h.beginning(after.length));
      predicted.add(
          new Predicted(
              forward.predictionHead(index, h),
              layers.feedForward() instanceof MixtureOfExperts moe
                  ? reader.routed(moe.routing())
                  : null,
              reader.undecided()));
    }
    return predicted;
  }

  /** Logits of the router: those that were recorded, else those that the model computes. */
  public Estimate logits() {
    return has(Step.ROUTER_LOGITS) ? given(Step.ROUTER_LOGITS) : computed(Stage.ROUTER);
  }

  /** How the model routes those logits. */
  public RoutingOracle.Routed routed() {
    return route(null);
  }

  private RoutingOracle.Routed route(@Nullable List<int[]> replayed) {
    Exact reader = reader(replayed);
    new Forward<>(model, reader).route(layer, moe(), logits());
    return reader.routed(moe().routing());
  }

  /** One expert's output for any tokens, without their weights. */
  public Estimate expert(int expert, Estimate x) {
    return forward().expert(layer, moe(), expert, x);
  }

  /** The stored bias of each expert's score; zeros where there is none. */
  public double[] routerBias() {
    return weights.routerBias(layer, moe());
  }

  private Forward<Estimate> forward() {
    return new Forward<>(model, reader(null));
  }

  private Exact reader(@Nullable List<int[]> replayed) {
    long[] ids = recorded.texts().of(layer);
    Exact reader = new Exact(weights::of, Arithmetic.of(precision), ids, replayed, memory);
    return recorded.model().image() == null
        ? reader
        : reader.seeing(
            memory.record(
                () -> recorded.patches().withErrors(precision::roundedOff), Trace.PATCHES));
  }
}
