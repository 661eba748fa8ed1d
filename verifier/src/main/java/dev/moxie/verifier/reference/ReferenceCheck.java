package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.oracle.Recorded;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Words;
import dev.moxie.verifier.routing.Decision;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Level 3: runs the package on references' inputs. Layer by layer first, each layer on the
 * reference's own input so that errors do not add up; then from tokens to logits and to a greedy
 * continuation, in each execution.
 */
public final class ReferenceCheck implements AutoCloseable {
  private static final int LAYERS_SHOWN = 16;

  private final MoxiePackage pack;
  private final Map<Execution, Model> models = new EnumMap<>(Execution.class);
  private final Layers parts;
  private final Running running;
  private final Scope scope;
  private final Coverage coverage;
  private final Set<String> untelling = new TreeSet<>();
  private final Set<String> parted = new TreeSet<>();
  private final List<String> cut = new ArrayList<>();
  private List<Decision> decisions = List.of();
  private int predictions;

  /**
   * Prepares a package for any number of references.
   *
   * @param running what is run, end to end where every layer is verified
   * @param proof which refuses nothing
   * @throws UsageException if the package lacks layers of the scope
   */
  public ReferenceCheck(MoxiePackage pack, Running running, LoweringProof proof, Scope scope) {
    this.pack = pack;
    this.running = running;
    this.scope = scope;
    this.coverage = new Coverage(pack.architecture(), scope.layers(pack.architecture()));
    this.parts = running.parts(pack, proof);
    if (!scope.leftOut(pack.architecture()).isEmpty()) {
      return;
    }
    for (Execution execution : running.executions()) {
      models.put(
          execution,
          execution == Execution.PLAIN && parts instanceof PlainModel plain
              ? plain
              : running.open(execution, pack, proof));
    }
  }

  /** In what the model of a trace differs from the package's by its shape alone, in words. */
  public List<String> differences(Trace trace) {
    return TraceShape.differences(trace, pack.architecture(), scope.layers(pack.architecture()));
  }

  /**
   * Checks one reference.
   *
   * @param other a second trace of the same model, by which rounding is measured; null without
   * @throws CorruptException if a trace is not one of this architecture
   */
  public Report.Reference run(Trace trace, @Nullable Trace other) {
    int tokens = new Recorded(trace, pack.architecture()).ids().length;
    if (tokens > scope.tokens()) {
      cut.add(
          "tokens %d to %d of %s, and what was generated after them"
              .formatted(scope.tokens(), tokens - 1, trace.path()));
    } else if (trace.generatedIds().isEmpty() && pack.architecture().image() == null) {
      cut.add("greedy tokens, which " + trace.path() + " does not record");
    }
    var check = new TraceCheck(pack, trace, other, parts, running.rounding(), models, scope);
    Report.Reference report = check.run();
    decisions = check.decisions();
    check.chosen().forEach(coverage::add);
    predictions = Math.max(predictions, report.ends().prediction().size());
    untelling.addAll(check.untelling());
    if (check.judged() < tokens) {
      parted.add("from token %d of %d on in %s".formatted(check.judged(), tokens, trace.path()));
    }
    return report;
  }

  /** Every routing decision of the last reference, by token and then by layer. */
  public List<Decision> decisions() {
    return decisions;
  }

  /** What the references so far leave untouched, in words. */
  public List<String> notCovered() {
    List<String> open = new ArrayList<>();
    List<Integer> leftOut = scope.leftOut(pack.architecture());
    if (!leftOut.isEmpty()) {
      open.add(
          "numbers of %d of %d layers, %s, and what is computed from the tokens on through all"
              .formatted(
                  leftOut.size(),
                  pack.architecture().layers().size(),
                  Words.numbers(leftOut, LAYERS_SHOWN)));
    }
    open.addAll(cut);
    open.addAll(coverage.notCovered());
    Architecture.Prediction prediction = pack.architecture().prediction();
    if (prediction != null && predictions < prediction.count()) {
      open.add(
          "what layers for multi-token prediction say, from number %d on, of which no reference has logits"
              .formatted(predictions));
    }
    if (!untelling.isEmpty()) {
      open.add(
          String.join(", ", untelling)
              + ", which rounding of weights or reference may move by more than their size");
    }
    if (!parted.isEmpty()) {
      open.add(
          "what is computed from the tokens on, where rounding may change experts: "
              + String.join(", ", parted));
    }
    return open;
  }

  @Override
  public void close() {
    parts.close();
    models.values().forEach(Model::close);
  }
}
