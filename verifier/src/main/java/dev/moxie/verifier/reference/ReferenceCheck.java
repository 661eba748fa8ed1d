package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.ProofByReport;
import dev.moxie.verifier.report.Report;
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
  private final MoxiePackage pack;
  private final Map<Execution, Model> models = new EnumMap<>(Execution.class);
  private final PlainModel plain;
  private final Coverage coverage;
  private final Set<String> untelling = new TreeSet<>();
  private final Set<String> parted = new TreeSet<>();
  private List<Decision> decisions = List.of();

  /**
   * Prepares a package for any number of references.
   *
   * @param executions to run end to end
   */
  public ReferenceCheck(MoxiePackage pack, Set<Execution> executions) {
    this.pack = pack;
    this.coverage = new Coverage(pack.architecture());
    var proof = new ProofByReport();
    this.plain = PlainModel.open(pack, proof);
    for (Execution execution : executions) {
      models.put(
          execution,
          execution == Execution.PLAIN ? plain : execution.open(pack, Device.CPU, proof));
    }
  }

  /** In what the model of a trace differs from the package's by its shape alone, in words. */
  public List<String> differences(Trace trace) {
    return TraceShape.differences(trace, pack.architecture());
  }

  /**
   * Checks one reference.
   *
   * @param other a second trace of the same model, by which rounding is measured; null without
   * @throws CorruptException if a trace is not one of this architecture
   */
  public Report.Reference run(Trace trace, @Nullable Trace other) {
    var check = new TraceCheck(pack, trace, other, plain, models);
    Report.Reference report = check.run();
    decisions = check.decisions();
    check.chosen().forEach(coverage::add);
    untelling.addAll(check.untelling());
    if (check.judged() < trace.inputIds().length) {
      parted.add(
          "from token %d of %d on in %s"
              .formatted(check.judged(), trace.inputIds().length, trace.path()));
    }
    return report;
  }

  /** Every routing decision of the last reference, by token and then by layer. */
  public List<Decision> decisions() {
    return decisions;
  }

  /** What the references so far leave untouched, in words. */
  public List<String> notCovered() {
    List<String> open = new ArrayList<>(coverage.notCovered());
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
    models.put(Execution.PLAIN, plain);
    models.values().forEach(Model::close);
  }
}
