package dev.moxie.verifier;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Opening;
import java.util.ArrayList;
import java.util.List;

/**
 * For checks that hold a model's numbers to the oracle, or to what one that was held to it
 * computed, and report what differs: a refusal to open the model would take the place of that
 * report. Where kernels are drawn anew in every process, references use too few of them, and {@link
 * LoweringCheck} is asked as well; what it says stands in the report.
 */
public final class ProofByReport implements LoweringProof {
  private final boolean asking;
  private final List<String> refusals = new ArrayList<>();
  private final List<String> untried = new ArrayList<>();

  /**
   * For one report.
   *
   * @param asking whether {@link LoweringCheck} is asked
   */
  public ProofByReport(boolean asking) {
    this.asking = asking;
  }

  @Override
  public <M extends Model> M require(Opening opening, M model) {
    if (asking) {
      var check = new LoweringCheck();
      try {
        check.require(opening, model);
      } catch (EnvironmentException | UnsupportedException e) {
        refusals.add(e.getMessage());
      }
      untried.addAll(check.untried());
    }
    return model;
  }

  /** Whether {@link LoweringCheck} was asked. */
  boolean asked() {
    return asking;
  }

  /** What it said against models, one sentence each. */
  List<String> refusals() {
    return refusals.stream().distinct().toList();
  }

  /** What it did not try. */
  List<String> untried() {
    return untried.stream().distinct().toList();
  }
}
