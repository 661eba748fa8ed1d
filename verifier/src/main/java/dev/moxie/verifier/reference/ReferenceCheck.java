package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
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
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
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

  /** Prepares a package for any number of references. */
  public ReferenceCheck(MoxiePackage pack, Set<Execution> executions) {
    this.pack = pack;
    this.oracle = new Oracle(pack, FLOAT32);
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
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      List<int[]> experts = requireExperts(trace, layer, ids.length);
      layers.add(checkLayer(trace, layer, experts, tally));
      coverage.add(layer, experts);
      hidden = oracle.layer(layer, hidden, experts).output();
    }
    Estimate logits = oracle.head(hidden);
    Map<String, Report.EndToEnd> executions = new LinkedHashMap<>();
    models.forEach(
        (execution, model) ->
            executions.put(
                execution.name().toLowerCase(Locale.ROOT),
                endToEnd(trace, ids, model, logits, tally.firstTiedToken())));
    return summarise(trace, ids.length, tally, layers, executions);
  }

  /** What the references so far leave untouched, in words. */
  public List<String> notCovered() {
    return coverage.notCovered();
  }

  private Report.Layer checkLayer(Trace trace, int layer, List<int[]> experts, RoutingTally tally) {
    int tokens = experts.size();
    int width = pack.architecture().hiddenSize();
    String prefix = "layers." + layer + ".";
    float[] input = trace.floats(prefix + "input", tokens, width);
    Oracle.Layer exact = oracle.layer(layer, Estimate.exact(input, width), experts);

    ScheduledModel.LayerResult own = scheduled.layerAlone(layer, input, null);
    for (int t = 0; t < tokens; t++) {
      tally.add(layer, t, own.decisions().get(t).experts(), experts.get(t), exact.scores());
    }
    ScheduledModel.LayerResult replayed = scheduled.layerAlone(layer, input, experts);
    float[] expectedOutput = trace.floats(prefix + "output", tokens, width);
    Map<String, Comparison> steps = new LinkedHashMap<>();
    compare(steps, trace, prefix + "moe.input", replayed.normed(), exact.normed());
    compare(steps, trace, prefix + "router.logits", replayed.routerLogits(), exact.routerLogits());
    compare(
        steps, trace, prefix + "router.weights", weights(replayed.decisions()), exact.weights());
    compare(
        steps, trace, prefix + "experts.output", replayed.expertsOutput(), exact.expertsOutput());
    compare(steps, trace, prefix + "moe.output", replayed.expertsOutput(), exact.expertsOutput());
    Comparison output = Tolerance.compare(replayed.output(), expectedOutput, exact.output());
    steps.put(prefix + "output", output);
    return new Report.Layer(
        layer,
        output.maxAbs(),
        output.maxRel(),
        output.bound(),
        Verdict.of(steps.values().stream().allMatch(step -> step.verdict().passed())),
        output.worst(),
        steps,
        witness(exact.output(), replayed.output(), expectedOutput));
  }

  /** Compares one step, where the trace has it. */
  private static void compare(
      Map<String, Comparison> steps, Trace trace, String name, float[] actual, Estimate exact) {
    if (trace.has(name)) {
      float[] expected = trace.floats(name, exact.rows(), exact.columns());
      steps.put(name, Tolerance.compare(actual, expected, exact));
    }
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

  private static float[] weights(List<Router.Decision> decisions) {
    int k = decisions.getFirst().weights().length;
    float[] weights = new float[decisions.size() * k];
    for (int t = 0; t < decisions.size(); t++) {
      System.arraycopy(decisions.get(t).weights(), 0, weights, t * k, k);
    }
    return weights;
  }

  /**
   * From tokens to logits and on to a continuation. Where routing was tied, both sides may go their
   * own way from that token on: logits are compared before it, and the continuation is not judged.
   */
  private Report.EndToEnd endToEnd(
      Trace trace, long[] ids, Model model, Estimate exact, int firstTied) {
    model.begin(ids.length);
    Comparison logits =
        Tolerance.compare(
            model.append(ids),
            trace.floats("logits", ids.length, pack.architecture().vocabSize()),
            exact,
            Math.max(1, Math.min(firstTied, ids.length)));
    long[] expected = trace.generatedIds().orElse(new long[0]);
    List<Long> greedy =
        expected.length == 0
            ? List.of()
            : Generator.greedy(model, ids, expected.length, TextTokenizer.endTokens(pack));
    int equal = 0;
    for (int i = 0; i < expected.length; i++) {
      equal += greedy.get(i) == expected[i] ? 1 : 0;
    }
    boolean tied = firstTied < ids.length;
    return new Report.EndToEnd(
        logits,
        new Report.Greedy(Verdict.of(tied || equal == expected.length), expected.length, equal));
  }

  private static Report.Reference summarise(
      Trace trace,
      int tokens,
      RoutingTally tally,
      List<Report.Layer> layers,
      Map<String, Report.EndToEnd> executions) {
    Report.Routing routing = tally.report();
    Comparison logits =
        executions.values().stream()
            .map(Report.EndToEnd::logits)
            .reduce(Comparison::worse)
            .orElseThrow();
    Report.Greedy greedy =
        executions.values().stream()
            .map(Report.EndToEnd::greedy)
            .min((a, b) -> Integer.compare(a.equal(), b.equal()))
            .orElseThrow();
    boolean holds =
        routing.verdict().passed()
            && layers.stream().allMatch(layer -> layer.verdict().passed())
            && executions.values().stream().allMatch(e -> e.logits().verdict().passed())
            && greedy.verdict().passed();
    return new Report.Reference(
        Verdict.of(holds),
        trace.path().toString(),
        trace.metadata().get("producer"),
        tokens,
        Tolerance.describe(FLOAT32),
        routing,
        layers,
        logits,
        greedy,
        executions,
        Diagnosis.of(routing, layers, executions, tally.firstTiedToken()));
  }

  private long[] requireTokens(Trace trace) {
    long[] ids = trace.inputIds();
    for (long id : ids) {
      if (id < 0 || id >= pack.architecture().vocabSize()) {
        throw new CorruptException(
            trace.path() + ", tensor \"input_ids\"",
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
      FeedForward.MixtureOfExperts moe = moe(layer);
      String prefix = "layers." + layer + ".";
      Shape chosen = Shape.of(tokens, moe.routing().expertsPerToken());
      trace.require(prefix + "input", Dtype.F32, hidden);
      trace.require(prefix + "output", Dtype.F32, hidden);
      trace.require(prefix + "experts.output", Dtype.F32, hidden);
      trace.require(prefix + "router.logits", Dtype.F32, Shape.of(tokens, moe.experts()));
      trace.require(prefix + "router.weights", Dtype.F32, chosen);
      trace.require(prefix + "router.experts", Dtype.I32, chosen);
    }
    trace.require("logits", Dtype.F32, Shape.of(tokens, architecture.vocabSize()));
  }

  private List<int[]> requireExperts(Trace trace, int layer, int tokens) {
    FeedForward.MixtureOfExperts moe = moe(layer);
    int k = moe.routing().expertsPerToken();
    String name = "layers." + layer + ".router.experts";
    int[] flat = trace.ints(name, tokens, k);
    List<int[]> experts = new ArrayList<>();
    for (int t = 0; t < tokens; t++) {
      int[] chosen = Arrays.copyOfRange(flat, t * k, (t + 1) * k);
      boolean valid = Arrays.stream(chosen).allMatch(e -> e >= 0 && e < moe.experts());
      if (!valid || Arrays.stream(chosen).distinct().count() != k) {
        throw new CorruptException(
            trace.path() + ", tensor \"" + name + "\", token " + t,
            k + " different experts below " + moe.experts(),
            Arrays.toString(chosen),
            "the trace was not recorded from this model");
      }
      experts.add(chosen);
    }
    return experts;
  }

  private FeedForward.MixtureOfExperts moe(int layer) {
    return switch (pack.architecture().layers().get(layer).feedForward()) {
      case FeedForward.MixtureOfExperts moe -> moe;
    };
  }

  @Override
  public void close() {
    models.put(Execution.SCHEDULED, scheduled);
    models.values().forEach(Model::close);
  }
}
