package dev.moxie.verifier.reference;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.bounds.Selection;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.diagnosis.Diagnosis;
import dev.moxie.verifier.diagnosis.Evidence;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.Decision;
import dev.moxie.verifier.routing.TraceRouting;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** One reference held against one package. */
final class TraceCheck {
  private final MoxiePackage pack;
  private final Trace trace;
  private final Precision precision;
  private final Oracle oracle;
  private final PlainModel plain;
  private final Map<Execution, Model> models;
  private final @Nullable Noise noise;
  private final RoutingTally tally = new RoutingTally();
  private final Map<Integer, List<int[]>> chosen = new TreeMap<>();
  private final Set<String> untelling = new TreeSet<>();
  private int judged;
  private boolean sampled;

  /**
   * A check, once.
   *
   * @param other a second trace of the same model, or null
   * @param models to run end to end
   */
  TraceCheck(
      MoxiePackage pack,
      Trace trace,
      @Nullable Trace other,
      PlainModel plain,
      Map<Execution, Model> models) {
    this.pack = pack;
    this.trace = trace;
    this.plain = plain;
    this.models = models;
    this.precision = TraceShape.precision(trace);
    ScoredInputs.complete(trace, pack.architecture());
    TraceShape.require(trace, pack.architecture());
    this.oracle =
        new Oracle(pack.architecture(), Weights.asConverted(pack).readAs(precision), precision);
    if (other != null) {
      ScoredInputs.complete(other, pack.architecture());
      TraceShape.require(other, pack.architecture());
    }
    this.noise = other == null ? null : Noise.measure(pack.architecture(), oracle, trace, other);
  }

  /** The experts that the reference chose, by layer; after {@link #run}. */
  Map<Integer, List<int[]>> chosen() {
    return chosen;
  }

  /** Every routing decision, by token and then by layer; after {@link #run}. */
  List<Decision> decisions() {
    return tally.decisions();
  }

  /**
   * Tokens before the first whose experts rounding may change: what is computed from the tokens on
   * was judged for those; after {@link #run}.
   */
  int judged() {
    return judged;
  }

  /** What was compared and shows nothing; after {@link #run}. */
  Set<String> untelling() {
    return untelling;
  }

  Report.Reference run() {
    long[] ids = trace.inputIds();
    Estimate hidden = oracle.embed(ids);
    float[] own = plain.embed(ids);
    Comparison embedding = Tolerance.compare(own, recorded("layers.0.input"), hidden);
    List<Report.Layer> layers = new ArrayList<>();
    List<Pass> passes = new ArrayList<>();
    int parted = ids.length;
    int clear = ids.length;
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      Report.Layer alone;
      switch (pack.architecture().layers().get(layer).feedForward()) {
        case FeedForward.Dense dense -> {
          alone = checkDense(layer);
          hidden = oracle.layer(layer, hidden, null).output();
          own = plain.layerAlone(layer, own, null).output();
        }
        case FeedForward.MixtureOfExperts moe -> {
          List<int[]> experts = TraceRouting.experts(trace, layer, moe, ids.length);
          chosen.put(layer, experts);
          alone = checkMixture(layer, moe, experts);
          Oracle.Layer exact = oracle.layer(layer, hidden, experts);
          PlainModel.LayerResult free = plain.layerAlone(layer, own, null);
          parted = Math.min(parted, firstParted(moe, exact, free, experts));
          clear = Math.min(clear, clear(moe, exact));
          hidden = exact.output();
          own = free.output();
        }
      }
      layers.add(alone);
      passes.add(new Pass(own, hidden, comparable(parted)));
    }
    judged = comparable(parted);
    var ends = new Report.Ends(embedding, checkHead());
    Estimate logits = oracle.head(hidden);
    List<Report.Layer> both = accumulated(layers, passes);
    Map<String, Report.EndToEnd> executions = endToEnd(logits);
    Comparison permuted = permuted(logits, clear);
    boolean alone =
        ends.hold()
            && tally.report().verdict().passed()
            && layers.stream().allMatch(layer -> layer.verdict().passed());
    if (alone && !(hold(both) && holdLogits(executions) && holds(permuted))) {
      List<Estimate> widened =
          SampledErrors.widen(
              oracle, ids, passes.stream().map(Pass::exact).toList(), logits, chosen);
      List<Pass> again = new ArrayList<>();
      for (int i = 0; i < passes.size(); i++) {
        again.add(new Pass(passes.get(i).own(), widened.get(i), passes.get(i).comparable()));
      }
      both = accumulated(layers, again);
      executions = endToEnd(widened.getLast());
      permuted = permuted(widened.getLast(), clear);
      sampled = true;
    }
    return summarise(parted, ends, both, executions, permuted);
  }

  /** Tokens before the first whose choice of experts rounding may change in a layer. */
  private int clear(FeedForward.MixtureOfExperts moe, Oracle.Layer exact) {
    return trace.has(TraceShape.PERMUTED)
        ? new Selection(moe.routing(), Objects.requireNonNull(exact.mixture()).routed())
            .firstUnclear()
        : tokens();
  }

  /** The reference against itself, its experts in another order. */
  private @Nullable Comparison permuted(Estimate exact, int clear) {
    if (!trace.has(TraceShape.PERMUTED)) {
      return null;
    }
    float[] logits = trace.floats(TraceShape.PERMUTED, tokens(), exact.columns());
    return fromTheTokensOn("logits", logits, "logits", exact, clear);
  }

  /**
   * A layer's output, computed from the tokens on.
   *
   * @param comparable tokens before the first that may have gone elsewhere
   */
  @SuppressWarnings("ArrayRecordComponent") // Never compared.
  private record Pass(float[] own, Estimate exact, int comparable) {}

  private List<Report.Layer> accumulated(List<Report.Layer> layers, List<Pass> passes) {
    List<Report.Layer> both = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      Pass pass = passes.get(i);
      String name = "layers." + i + ".output";
      both.add(
          layers
              .get(i)
              .withAccumulated(
                  fromTheTokensOn(
                      "accumulated", pass.own(), name, pass.exact(), pass.comparable())));
    }
    return both;
  }

  private Map<String, Report.EndToEnd> endToEnd(Estimate logits) {
    Map<String, Report.EndToEnd> executions = new LinkedHashMap<>();
    for (var model : models.entrySet()) {
      executions.put(
          model.getKey().name().toLowerCase(Locale.ROOT),
          endToEnd(model.getValue(), logits, judged));
    }
    return executions;
  }

  private static boolean holds(@Nullable Comparison permuted) {
    return permuted == null || permuted.verdict().passed();
  }

  private static boolean hold(List<Report.Layer> layers) {
    return layers.stream().allMatch(layer -> layer.accumulated().verdict().passed());
  }

  private static boolean holdLogits(Map<String, Report.EndToEnd> executions) {
    return executions.values().stream().allMatch(e -> e.logits().verdict().passed());
  }

  /** How many tokens come before any at which both sides may have gone their own way. */
  private int comparable(int parted) {
    return Math.min(tokens(), Math.min(parted, tally.firstTiedToken()));
  }

  private int tokens() {
    return trace.inputIds().length;
  }

  private int width() {
    return pack.architecture().hiddenSize();
  }

  private float[] recorded(String name) {
    return trace.floats(name, tokens(), width());
  }

  /** The first rows of something this runtime computed, against what was recorded. */
  private Comparison compare(
      String step, float[] actual, String name, Estimate estimate, int rows) {
    float[] expected = trace.floats(name, tokens(), estimate.columns());
    double factor = noise == null ? 1 : noise.factor(step);
    return Tolerance.compare(actual, expected, estimate, rows, factor);
  }

  /**
   * The same, computed from the tokens on: not judged where both sides may have gone their own way
   * from the first token.
   */
  private Comparison fromTheTokensOn(
      String step, float[] actual, String name, Estimate estimate, int rows) {
    Comparison comparison = compare(step, actual, name, estimate, Math.max(1, rows));
    if (rows == 0) {
      return comparison.notJudged();
    }
    return tolerant(
        step.equals("logits") ? "logits end to end" : "layers from the tokens on", comparison);
  }

  /**
   * Where weights or reference are of lower precision, each layer is held to its own bound; over
   * the depth their sum may exceed the values, and a single step's may, too.
   */
  private Comparison tolerant(String what, Comparison comparison) {
    Manifest.Cast cast = pack.manifest().provenance().cast();
    boolean lower = precision != Precision.F32 || (cast != null && cast.dtype() == Dtype.BF16);
    if (!lower) {
      return comparison;
    }
    if (!comparison.telling()) {
      untelling.add(what);
    }
    return comparison.tolerant();
  }

  /**
   * The first token for which the runtime, left to itself from the tokens on, chose other experts
   * than the reference, where the errors of the layers before allow either; T if there is none.
   */
  private static int firstParted(
      FeedForward.MixtureOfExperts moe,
      Oracle.Layer exact,
      PlainModel.LayerResult own,
      List<int[]> experts) {
    var selection = new Selection(moe.routing(), Objects.requireNonNull(exact.mixture()).routed());
    List<PlainModel.Decision> decisions = Objects.requireNonNull(own.mixture()).decisions();
    for (int t = 0; t < experts.size(); t++) {
      Set<Integer> ours = Selection.set(decisions.get(t).experts());
      Set<Integer> theirs = Selection.set(experts.get(t));
      if (!ours.equals(theirs) && selection.mayChoose(t, ours) && selection.mayChoose(t, theirs)) {
        return t;
      }
    }
    return experts.size();
  }

  private Report.Layer checkDense(int layer) {
    float[] input = recorded("layers." + layer + ".input");
    return compareLayer(
        layer,
        plain.layerAlone(layer, input, null),
        oracle.layer(layer, Estimate.exact(input, width()), null));
  }

  private Report.Layer checkMixture(
      int layer, FeedForward.MixtureOfExperts moe, List<int[]> experts) {
    float[] input = recorded("layers." + layer + ".input");
    Oracle.Layer exact = oracle.layer(layer, Estimate.exact(input, width()), experts);
    var selection = new Selection(moe.routing(), Objects.requireNonNull(exact.mixture()).routed());
    PlainModel.Mixture own = Objects.requireNonNull(plain.layerAlone(layer, input, null).mixture());
    for (int t = 0; t < experts.size(); t++) {
      tally.add(layer, t, own.decisions().get(t), experts.get(t), moe.experts(), selection);
    }
    return compareLayer(layer, plain.layerAlone(layer, input, experts), exact);
  }

  /** Compares every step of a layer that the trace has; where one differs, looks inside. */
  private Report.Layer compareLayer(int layer, PlainModel.LayerResult actual, Oracle.Layer exact) {
    Map<String, float[]> own = LayerSteps.of(actual);
    Map<String, Comparison> steps = new LinkedHashMap<>();
    LayerSteps.of(exact)
        .forEach(
            (step, estimate) -> {
              String name = "layers." + layer + "." + step;
              if (trace.has(name)) {
                float[] values = Objects.requireNonNull(own.get(step));
                Comparison compared = compare(step, values, name, estimate, tokens());
                steps.put(name, precision == Precision.F32 ? compared : tolerant(name, compared));
              }
            });
    String name = "layers." + layer + ".output";
    Comparison output = Objects.requireNonNull(steps.get(name));
    boolean holds = steps.values().stream().allMatch(step -> step.verdict().passed());
    return new Report.Layer(
        layer,
        output.maxAbs(),
        output.maxRel(),
        output.bound(),
        Verdict.of(holds),
        output.worst(),
        steps,
        output,
        witness(exact.output(), actual.output(), recorded(name)),
        holds ? List.of() : Diagnosis.inside(evidence(), layer));
  }

  private Evidence evidence() {
    return new Evidence(pack, trace, precision);
  }

  /** The head on the reference's own last hidden state. */
  private Comparison checkHead() {
    int last = pack.architecture().layers().size() - 1;
    float[] hidden = recorded("layers." + last + ".output");
    Estimate exact = oracle.head(Estimate.exact(hidden, width()));
    return tolerant("the head", compare("head", plain.head(hidden), "logits", exact, tokens()));
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
   * @param comparable tokens before that one
   */
  private Report.EndToEnd endToEnd(Model model, Estimate exact, int comparable) {
    long[] ids = trace.inputIds();
    model.begin(ids.length);
    Comparison logits = fromTheTokensOn("logits", model.append(ids), "logits", exact, comparable);
    long[] expected = trace.generatedIds().orElse(new long[0]);
    long[] greedy = greedy(model, ids, expected.length);
    int equal = 0;
    for (int i = 0; i < expected.length; i++) {
      equal += greedy[i] == expected[i] ? 1 : 0;
    }
    int parting = Arrays.mismatch(greedy, expected);
    boolean open =
        comparable < ids.length || (parting >= 0 && mayPart(expected, greedy[parting], parting));
    return new Report.EndToEnd(
        logits,
        new Report.Greedy(
            Verdict.of(open || parting < 0), expected.length, equal, open && parting >= 0));
  }

  private long[] greedy(Model model, long[] ids, int count) {
    return count == 0
        ? new long[0]
        : Generator.greedy(model, ids, count, EndTokens.of(pack).ids()).stream()
            .mapToLong(Long::longValue)
            .toArray();
  }

  /**
   * Whether rounding may decide the token at which two continuations part: routing is unclear on
   * the way there, or no other token's logit exceeds those of either one by more than the bound.
   */
  private boolean mayPart(long[] expected, long own, int parting) {
    long[] ids = trace.inputIds();
    long[] sequence = Arrays.copyOf(ids, ids.length + parting);
    System.arraycopy(expected, 0, sequence, ids.length, parting);
    FreePass exact = FreePass.of(pack.architecture(), oracle, sequence);
    return exact.firstUnclear() < sequence.length
        || (mayLead(exact.logits(), expected[parting]) && mayLead(exact.logits(), own));
  }

  /** Whether a token may have the largest logit of the last row, end tokens aside. */
  private boolean mayLead(Estimate logits, long token) {
    int last = logits.rows() - 1;
    int wanted = Math.toIntExact(token);
    Set<Long> end = EndTokens.of(pack).ids();
    for (int v = 0; v < logits.columns(); v++) {
      double error = Math.hypot(logits.error(last, v), logits.error(last, wanted));
      double gap = logits.value(last, v) - logits.value(last, wanted);
      if (!end.contains((long) v) && gap > Tolerance.bound(error, logits.columns())) {
        return false;
      }
    }
    return true;
  }

  private Report.Reference summarise(
      int parted,
      Report.Ends ends,
      List<Report.Layer> layers,
      Map<String, Report.EndToEnd> executions,
      @Nullable Comparison permuted) {
    Report.Routing routing = tally.report();
    Comparison logits =
        executions.values().stream()
            .map(Report.EndToEnd::logits)
            .reduce(Comparison::worse)
            .orElseThrow();
    Report.Greedy greedy =
        executions.values().stream()
            .map(Report.EndToEnd::greedy)
            .min(
                Comparator.comparing((Report.Greedy g) -> g.verdict().passed())
                    .thenComparingInt(Report.Greedy::equal))
            .orElseThrow();
    boolean holds =
        routing.verdict().passed()
            && ends.hold()
            && layers.stream().allMatch(layer -> layer.verdict().passed())
            && hold(layers)
            && holdLogits(executions)
            && holds(permuted)
            && greedy.verdict().passed();
    List<String> sentences =
        new ArrayList<>(Diagnosis.of(routing, ends, layers, executions, tally.firstTiedToken()));
    if (parted < Math.min(tally.firstTiedToken(), tokens())) {
      sentences.add(
          "From the tokens on, rounding led to other experts at token %d: logits were compared"
                  .formatted(parted)
              + " before it, greedy tokens not judged.");
    }
    if (!holds(permuted)) {
      sentences.add(
          "The reference is at odds with itself: its logits change when its experts, router rows"
              + " and biases are permuted alike, so it runs other experts than it chooses.");
    }
    if (sampled) {
      sentences.add(
          "From the tokens on, errors reach further than they do if independent: their size was"
              + " sampled.");
    }
    if (!holds) {
      // Suspects are only tried where something is wrong.
      sentences.addAll(Diagnosis.looksLike(evidence(), routing, ends, layers));
    }
    return new Report.Reference(
        Verdict.of(holds),
        trace.path().toString(),
        trace.metadata().get("producer"),
        precision.dtype(),
        tokens(),
        Tolerance.describe(precision, pack.manifest().provenance().cast()),
        noise == null ? null : noise.report(),
        routing,
        tally.byLayer(),
        ends,
        layers,
        logits,
        greedy,
        executions,
        permuted,
        sentences);
  }
}
