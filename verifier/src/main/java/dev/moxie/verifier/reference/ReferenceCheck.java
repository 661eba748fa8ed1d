package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Router;
import dev.moxie.runtime.execution.ScheduledModel;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.Decision;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Level 3: runs the package on a reference's inputs. Layer by layer first, each layer on the
 * reference's own input so that errors do not add up; then from tokens to logits and to a greedy
 * continuation, in each execution.
 */
public final class ReferenceCheck implements AutoCloseable {
  /** Unit roundoff of float32, in which references and the CPU runtime compute. */
  static final double FLOAT32 = 0x1p-24;

  private final MoxiePackage pack;
  private final Oracle oracle;
  private final Map<Execution, Model> models = new EnumMap<>(Execution.class);
  private final ScheduledModel scheduled;
  private final Coverage coverage;
  private List<Decision> decisions = List.of();
  private boolean untelling;

  /** Prepares a package for any number of references. */
  public ReferenceCheck(MoxiePackage pack, Set<Execution> executions) {
    this.pack = pack;
    this.oracle = new Oracle(pack.architecture(), Weights.asConverted(pack), FLOAT32);
    this.coverage = new Coverage(pack.architecture());
    this.scheduled = new ScheduledModel(pack, Device.CPU);
    for (Execution execution : executions) {
      models.put(
          execution,
          execution == Execution.SCHEDULED ? scheduled : execution.open(pack, Device.CPU));
    }
  }

  /**
   * Checks one reference.
   *
   * @throws CorruptException if the trace is not one of this architecture
   */
  public Report.Reference run(Trace trace) {
    long[] ids = requireTokens(trace);
    requireShapes(trace, ids.length);
    var tally = new RoutingTally();
    List<Report.Layer> layers = new ArrayList<>();
    Estimate hidden = oracle.embed(ids);
    float[] own = scheduled.embed(ids);
    Comparison embedding = Tolerance.compare(own, input(trace, 0, ids.length), hidden);
    int parted = ids.length;
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      Report.Layer alone;
      switch (pack.architecture().layers().get(layer).feedForward()) {
        case FeedForward.Dense dense -> {
          alone = checkDense(trace, layer, ids.length);
          hidden = oracle.layer(layer, hidden, null).output();
          own = scheduled.layerAlone(layer, own, null).output();
        }
        case FeedForward.MixtureOfExperts moe -> {
          List<int[]> experts = TraceRouting.experts(trace, layer, moe, ids.length);
          alone = checkMixture(trace, layer, moe, experts, tally);
          coverage.add(layer, experts);
          Oracle.Layer exact = oracle.layer(layer, hidden, experts);
          ScheduledModel.LayerResult free = scheduled.layerAlone(layer, own, null);
          parted = Math.min(parted, firstParted(moe, exact, free, experts));
          hidden = exact.output();
          own = free.output();
        }
      }
      int clear = Math.min(parted, tally.firstTiedToken());
      layers.add(alone.withAccumulated(accumulated(trace, layer, own, hidden, clear)));
    }
    decisions = tally.decisions();
    int comparable = Math.min(parted, tally.firstTiedToken());
    var ends = new Report.Ends(embedding, checkHead(trace, ids.length));
    Estimate logits = oracle.head(hidden);
    Map<String, Report.EndToEnd> executions = new LinkedHashMap<>();
    models.forEach(
        (execution, model) ->
            executions.put(
                execution.name().toLowerCase(Locale.ROOT),
                endToEnd(trace, ids, model, logits, comparable)));
    return summarise(trace, ids.length, tally, parted, ends, layers, executions);
  }

  /** Every routing decision of the last reference, by token and then by layer. */
  public List<Decision> decisions() {
    return decisions;
  }

  /** What the references so far leave untouched, in words. */
  public List<String> notCovered() {
    List<String> open = new ArrayList<>(coverage.notCovered());
    if (untelling) {
      open.add("logits end to end, which rounding of the weights may move by more than their size");
    }
    return open;
  }

  /**
   * The first token for which the runtime, left to itself from the tokens on, chose other experts
   * than the reference, where the errors of the layers before allow either; T if there is none.
   */
  private static int firstParted(
      FeedForward.MixtureOfExperts moe,
      Oracle.Layer exact,
      ScheduledModel.LayerResult own,
      List<int[]> experts) {
    var selection = new Selection(moe.routing(), Objects.requireNonNull(exact.mixture()).routed());
    List<Router.Decision> decisions = Objects.requireNonNull(own.mixture()).decisions();
    for (int t = 0; t < experts.size(); t++) {
      Set<Integer> ours = RoutingTally.set(decisions.get(t).experts());
      Set<Integer> theirs = RoutingTally.set(experts.get(t));
      if (!ours.equals(theirs) && selection.mayChoose(t, ours) && selection.mayChoose(t, theirs)) {
        return t;
      }
    }
    return experts.size();
  }

  private Report.Layer checkDense(Trace trace, int layer, int tokens) {
    float[] input = input(trace, layer, tokens);
    return compare(
        trace,
        layer,
        scheduled.layerAlone(layer, input, null),
        oracle.layer(layer, Estimate.exact(input, width()), null));
  }

  private Report.Layer checkMixture(
      Trace trace,
      int layer,
      FeedForward.MixtureOfExperts moe,
      List<int[]> experts,
      RoutingTally tally) {
    int tokens = experts.size();
    float[] input = input(trace, layer, tokens);
    Oracle.Layer exact = oracle.layer(layer, Estimate.exact(input, width()), experts);
    var selection = new Selection(moe.routing(), Objects.requireNonNull(exact.mixture()).routed());
    ScheduledModel.Mixture own =
        Objects.requireNonNull(scheduled.layerAlone(layer, input, null).mixture());
    for (int t = 0; t < tokens; t++) {
      tally.add(layer, t, own.decisions().get(t), experts.get(t), moe.experts(), selection);
    }
    return compare(trace, layer, scheduled.layerAlone(layer, input, experts), exact);
  }

  /** The head on the reference's own last hidden state. */
  private Comparison checkHead(Trace trace, int tokens) {
    int last = pack.architecture().layers().size() - 1;
    float[] hidden = trace.floats("layers." + last + ".output", tokens, width());
    return Tolerance.compare(
        scheduled.head(hidden),
        trace.floats("logits", tokens, pack.architecture().vocabSize()),
        oracle.head(Estimate.exact(hidden, width())));
  }

  /** A layer's output, computed from the tokens on, before the first token that went elsewhere. */
  private Comparison accumulated(
      Trace trace, int layer, float[] own, Estimate exact, int comparable) {
    Comparison comparison =
        Tolerance.compare(
            own,
            trace.floats("layers." + layer + ".output", exact.rows(), width()),
            exact,
            Math.max(1, Math.min(comparable, exact.rows())));
    return isRounded() ? comparison.tolerant() : comparison;
  }

  private float[] input(Trace trace, int layer, int tokens) {
    return trace.floats("layers." + layer + ".input", tokens, width());
  }

  /** Compares every step of a layer that the trace has. */
  private static Report.Layer compare(
      Trace trace, int layer, ScheduledModel.LayerResult actual, Oracle.Layer exact) {
    Map<String, float[]> own = LayerSteps.of(actual);
    Map<String, Comparison> steps = new LinkedHashMap<>();
    LayerSteps.of(exact)
        .forEach(
            (step, estimate) -> {
              String name = "layers." + layer + "." + step;
              if (trace.has(name)) {
                float[] expected = trace.floats(name, estimate.rows(), estimate.columns());
                float[] values = Objects.requireNonNull(own.get(step));
                steps.put(name, Tolerance.compare(values, expected, estimate));
              }
            });
    String name = "layers." + layer + ".output";
    Comparison output = Objects.requireNonNull(steps.get(name));
    Estimate estimate = exact.output();
    return new Report.Layer(
        layer,
        output.maxAbs(),
        output.maxRel(),
        output.bound(),
        Verdict.of(steps.values().stream().allMatch(step -> step.verdict().passed())),
        output.worst(),
        steps,
        output,
        witness(estimate, actual.output(), trace.floats(name, estimate.rows(), estimate.columns())),
        List.of());
  }

  private int width() {
    return pack.architecture().hiddenSize();
  }

  /** With whom the oracle agrees, to the bound. */
  private static String witness(Estimate exact, float[] runtime, float[] reference) {
    float[] values = exact.toFloats();
    boolean withRuntime = Tolerance.compare(runtime, values, exact).verdict().passed();
    boolean withReference = Tolerance.compare(reference, values, exact).verdict().passed();
    if (withRuntime) {
      return withReference ? "both" : "runtime";
    }
    return withReference ? "reference" : "neither";
  }

  /**
   * From tokens to logits and on to a continuation. Where rounding may have led to other experts,
   * both sides may go their own way from that token on: logits are compared before it, and the
   * continuation is not judged.
   *
   * @param comparable that token; the number of tokens or more if there is none
   */
  private Report.EndToEnd endToEnd(
      Trace trace, long[] ids, Model model, Estimate exact, int comparable) {
    model.begin(ids.length);
    Comparison logits =
        Tolerance.compare(
            model.append(ids),
            trace.floats("logits", ids.length, pack.architecture().vocabSize()),
            exact,
            Math.max(1, Math.min(comparable, ids.length)));
    if (isRounded()) {
      // Each layer was held to its own bound; their sum over the depth may exceed the logits.
      logits = logits.tolerant();
    }
    long[] expected = trace.generatedIds().orElse(new long[0]);
    long[] greedy = greedy(model, ids, expected.length);
    int equal = 0;
    for (int i = 0; i < expected.length; i++) {
      equal += greedy[i] == expected[i] ? 1 : 0;
    }
    int parting = Arrays.mismatch(greedy, expected);
    boolean open = comparable < ids.length || (parting >= 0 && mayPart(ids, expected, parting));
    return new Report.EndToEnd(
        logits,
        new Report.Greedy(
            Verdict.of(open || parting < 0), expected.length, equal, open && parting >= 0));
  }

  private boolean isRounded() {
    Manifest.Cast cast = pack.manifest().provenance().cast();
    return cast != null && cast.dtype() == Dtype.BF16;
  }

  private long[] greedy(Model model, long[] ids, int count) {
    return count == 0
        ? new long[0]
        : Generator.greedy(model, ids, count, TextTokenizer.endTokens(pack)).stream()
            .mapToLong(Long::longValue)
            .toArray();
  }

  /**
   * Whether rounding may decide the token at which two continuations part: routing is unclear on
   * the way there, or some other token's logit comes within the bound of the expected one's.
   */
  private boolean mayPart(long[] ids, long[] expected, int parting) {
    long[] sequence = Arrays.copyOf(ids, ids.length + parting);
    System.arraycopy(expected, 0, sequence, ids.length, parting);
    FreePass exact = FreePass.of(pack.architecture(), oracle, sequence);
    if (exact.firstUnclear() < sequence.length) {
      return true;
    }
    Estimate logits = exact.logits();
    int last = sequence.length - 1;
    int wanted = Math.toIntExact(expected[parting]);
    boolean contested = false;
    for (int v = 0; v < logits.columns(); v++) {
      double gap = logits.value(last, v) - logits.value(last, wanted);
      double bound =
          Tolerance.bound(
              Math.hypot(logits.error(last, v), logits.error(last, wanted)), logits.columns());
      if (gap > bound) {
        return false;
      }
      contested |= v != wanted && gap >= -bound;
    }
    return contested;
  }

  private Report.Reference summarise(
      Trace trace,
      int tokens,
      RoutingTally tally,
      int parted,
      Report.Ends ends,
      List<Report.Layer> layers,
      Map<String, Report.EndToEnd> executions) {
    Report.Routing routing = tally.report();
    Comparison logits =
        executions.values().stream()
            .map(Report.EndToEnd::logits)
            .reduce(Comparison::worse)
            .orElseThrow();
    untelling |= !logits.telling();
    Report.Greedy greedy =
        executions.values().stream()
            .map(Report.EndToEnd::greedy)
            .min((a, b) -> Integer.compare(a.equal(), b.equal()))
            .orElseThrow();
    boolean holds =
        routing.verdict().passed()
            && ends.hold()
            && layers.stream().allMatch(layer -> layer.verdict().passed())
            && layers.stream().allMatch(layer -> layer.accumulated().verdict().passed())
            && executions.values().stream().allMatch(e -> e.logits().verdict().passed())
            && greedy.verdict().passed();
    return new Report.Reference(
        Verdict.of(holds),
        trace.path().toString(),
        trace.metadata().get("producer"),
        Dtype.F32,
        tokens,
        Tolerance.describe(FLOAT32, pack.manifest().provenance().cast()),
        null,
        routing,
        tally.byLayer(),
        ends,
        layers,
        logits,
        greedy,
        executions,
        diagnosis(trace, holds, routing, layers, executions, tally.firstTiedToken(), parted));
  }

  /** What the report says in sentences; suspects are only tried where something is wrong. */
  private List<String> diagnosis(
      Trace trace,
      boolean holds,
      Report.Routing routing,
      List<Report.Layer> layers,
      Map<String, Report.EndToEnd> executions,
      int firstTied,
      int parted) {
    List<String> sentences = new ArrayList<>(Diagnosis.of(routing, layers, executions, firstTied));
    if (parted < Math.min(firstTied, trace.inputIds().length)) {
      sentences.add(
          "From the tokens on, rounding led to other experts at token %d: logits were compared"
                  .formatted(parted)
              + " before it, greedy tokens not judged.");
    }
    if (!holds) {
      sentences.addAll(new Suspects(pack, trace, FLOAT32).explain(routing, layers));
    }
    return sentences;
  }

  private long[] requireTokens(Trace trace) {
    requireTokens(trace, "generated_ids", trace.generatedIds().orElse(new long[0]));
    return requireTokens(trace, "input_ids", trace.inputIds());
  }

  private long[] requireTokens(Trace trace, String name, long[] ids) {
    for (long id : ids) {
      if (id < 0 || id >= pack.architecture().vocabSize()) {
        throw new CorruptException(
            trace.path() + ", tensor \"" + name + "\"",
            "tokens below " + pack.architecture().vocabSize(),
            String.valueOf(id),
            "the trace was not recorded from this model");
      }
    }
    return ids;
  }

  /** Everything that will be read is there, before anything is computed for so many tokens. */
  private void requireShapes(Trace trace, int tokens) {
    Architecture architecture = pack.architecture();
    Shape hidden = Shape.of(tokens, architecture.hiddenSize());
    for (int layer = 0; layer < architecture.layers().size(); layer++) {
      String prefix = "layers." + layer + ".";
      trace.require(prefix + "input", Dtype.F32, hidden);
      trace.require(prefix + "output", Dtype.F32, hidden);
      if (architecture.layers().get(layer).feedForward()
          instanceof FeedForward.MixtureOfExperts moe) {
        Shape chosen = Shape.of(tokens, moe.routing().expertsPerToken());
        trace.require(prefix + "experts.output", Dtype.F32, hidden);
        trace.require(prefix + "router.logits", Dtype.F32, Shape.of(tokens, moe.experts()));
        trace.require(prefix + "router.weights", Dtype.F32, chosen);
        trace.require(prefix + "router.experts", Dtype.I32, chosen);
      }
    }
    trace.require("logits", Dtype.F32, Shape.of(tokens, architecture.vocabSize()));
  }

  @Override
  public void close() {
    models.put(Execution.SCHEDULED, scheduled);
    models.values().forEach(Model::close);
  }
}
