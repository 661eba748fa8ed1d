package dev.moxie.verifier.reference;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.diagnosis.Diagnosis;
import dev.moxie.verifier.diagnosis.Evidence;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.Decision;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** One reference held against one package: layers alone, from the tokens on, and end to end. */
final class TraceCheck {
  private final Sides sides;
  private final Map<Execution, Model> models;
  private final Evidence evidence;
  private final RoutingTally tally;
  private final Map<Integer, List<int[]>> chosen = new TreeMap<>();
  private final Progress progress;
  private int judged;

  /**
   * A check, once.
   *
   * @param other a second trace of the same model, or null
   * @param parts of the runtime
   * @param runtime what it computes in; null if it rounds no more than the trace
   * @param models to run end to end
   */
  TraceCheck(
      MoxiePackage pack,
      Trace trace,
      @Nullable Trace other,
      Layers parts,
      @Nullable Precision runtime,
      Map<Execution, Model> models,
      Scope scope) {
    this.sides = Sides.of(pack, trace, other, parts, runtime, scope);
    this.models = models;
    List<Architecture.Blocks> all = pack.architecture().layers();
    this.tally = new RoutingTally(layer -> all.get(layer).looksAhead());
    this.evidence =
        new Evidence(
            pack, sides.recorded(), sides.layers(), sides.precisions().reference(), scope.budget());
    this.progress = scope.progress();
    this.judged = sides.tokens();
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
    return sides.untelling();
  }

  /**
   * What was found from the tokens on; nothing where a layer is left out.
   *
   * @param elsewhere executions that may have chosen other experts than the layers did, with the
   *     first token at which
   * @param sampled whether errors were drawn
   */
  private record Found(
      List<Report.Layer> layers,
      Map<String, Report.EndToEnd> executions,
      Map<String, Integer> elsewhere,
      @Nullable Comparison permuted,
      boolean sampled) {
    boolean holds() {
      return layers.stream().allMatch(layer -> Report.holds(layer.accumulated()))
          && executions.values().stream().allMatch(e -> e.logits().verdict().passed())
          && consistent();
    }

    boolean consistent() {
      return Report.holds(permuted);
    }
  }

  Report.Reference run() {
    int layersToDo = sides.layers().size();
    progress.begin(sides.whole() ? 2 * layersToDo : layersToDo);
    List<Report.Layer> layers = new ArrayList<>();
    var alone = new LayersAlone(sides, evidence, tally);
    for (int layer : sides.layers()) {
      if (sides.pack().architecture().layers().get(layer).feedForward()
          instanceof FeedForward.MixtureOfExperts) {
        chosen.put(layer, sides.recorded().experts(layer));
      }
      layers.add(alone.check(layer, chosen.get(layer)));
      progress.done("layer %d alone".formatted(layer));
    }
    Report.Ends ends = alone.ends();
    if (!sides.whole()) {
      var found = new Found(layers, Map.of(), Map.of(), null, false);
      return summarise(sides.tokens(), ends, found, alone.undecided());
    }
    FromTheTokens pass = FromTheTokens.run(sides, chosen, tally, progress);
    judged = pass.judged();
    Found found = find(layers, pass, false);
    boolean eachHolds =
        ends.hold()
            && tally.report().verdict().passed()
            && layers.stream().allMatch(layer -> layer.verdict().passed());
    if (eachHolds && !found.holds()) {
      found = find(layers, pass.sampled(sides, chosen), true);
    }
    return summarise(pass.parted(), ends, found, alone.undecided());
  }

  private Found find(List<Report.Layer> alone, FromTheTokens pass, boolean sampled) {
    Map<String, Report.EndToEnd> executions = new LinkedHashMap<>();
    Map<String, Integer> elsewhere = new LinkedHashMap<>();
    var endToEnd = new EndToEnd(sides, pass.logits(), pass.judged(), pass.clear());
    models.forEach(
        (execution, model) -> {
          String name = execution.name().toLowerCase(Locale.ROOT);
          EndToEnd.Found found = endToEnd.check(model);
          executions.put(name, found.report());
          if (found.judged() < pass.judged()) {
            elsewhere.put(name, found.judged());
          }
        });
    return new Found(pass.beside(alone, sides), executions, elsewhere, permuted(pass), sampled);
  }

  /** The reference against itself, its experts in another order. */
  private @Nullable Comparison permuted(FromTheTokens pass) {
    if (!sides.trace().has(TraceShape.PERMUTED)) {
      return null;
    }
    int columns = pass.logits().columns();
    float[] logits = sides.trace().floats(TraceShape.PERMUTED, sides.tokens(), columns);
    return sides.fromTheTokensOn("logits", logits, "logits", pass.logits(), pass.clear());
  }

  private Report.Reference summarise(
      int parted, Report.Ends ends, Found found, List<String> undecided) {
    found.elsewhere().values().forEach(token -> judged = Math.min(judged, token));
    Report.Routing routing = tally.report();
    Map<String, Report.EndToEnd> executions = found.executions();
    @Nullable Comparison logits =
        executions.values().stream()
            .map(Report.EndToEnd::logits)
            .reduce(Comparison::worse)
            .orElse(null);
    Report.@Nullable Greedy greedy =
        executions.values().stream()
            .map(Report.EndToEnd::greedy)
            .min(
                Comparator.comparing((Report.Greedy g) -> g.verdict().passed())
                    .thenComparingInt(Report.Greedy::equal))
            .orElse(null);
    boolean holds =
        routing.verdict().passed()
            && ends.hold()
            && found.layers().stream().allMatch(layer -> layer.verdict().passed())
            && found.holds()
            && (greedy == null || greedy.verdict().passed());
    int tied = tally.firstTiedToken(sides.last());
    List<String> sentences =
        new ArrayList<>(Diagnosis.of(evidence, routing, ends, found.layers(), executions, tied));
    sentences.addAll(undecided);
    if (parted < Math.min(tied, sides.tokens())) {
      sentences.add(
          "From the tokens on, rounding led to other experts at token %d: logits were compared"
                  .formatted(parted)
              + " before it, greedy tokens not judged.");
    }
    found
        .elsewhere()
        .forEach(
            (execution, token) ->
                sentences.add(
                    "The %s execution may have chosen other experts at token %d, where rounding may"
                            .formatted(execution, token)
                        + " change them: its logits were compared before it, greedy tokens not"
                        + " judged."));
    if (!found.consistent()) {
      sentences.add(
          "The reference is at odds with itself: its logits change when its experts, router rows"
              + " and biases are permuted alike, so it runs other experts than it chooses.");
    }
    if (found.sampled()) {
      sentences.add(
          "From the tokens on, errors reach further than they do if independent: their size was"
              + " sampled.");
    }
    if (!holds) {
      // Suspects are only tried where something is wrong.
      sentences.addAll(Diagnosis.looksLike(evidence, routing, ends, found.layers()));
    }
    Manifest.Provenance provenance = sides.pack().manifest().provenance();
    return new Report.Reference(
        Verdict.of(holds),
        sides.trace().path().toString(),
        sides.trace().metadata().get("producer"),
        sides.precisions().reference().dtype(),
        sides.tokens(),
        Tolerance.describe(sides.precisions(), provenance.cast(), provenance.quantisation()),
        sides.noise() == null ? null : sides.noise().report(),
        routing,
        tally.byLayer(),
        ends,
        found.layers(),
        logits,
        greedy,
        executions,
        found.permuted(),
        sentences);
  }
}
