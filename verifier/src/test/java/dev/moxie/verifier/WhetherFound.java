package dev.moxie.verifier;

import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.diagnosis.Budget;
import dev.moxie.verifier.reference.Progress;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.DecisionFiles;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;

/** Whether a difference is found, where nobody asks what it is: that takes most of the time. */
final class WhetherFound {
  private static final Scope SCOPE =
      new Scope(List.of(), Integer.MAX_VALUE, Budget.of(Duration.ZERO), Progress.NONE);

  private WhetherFound() {}

  /** The verdict of references on a package. */
  static Verdict by(List<Path> references, Path pack) {
    Running running = Running.onCpu(EnumSet.of(Execution.PLAIN));
    return Verifier.verify(pack, null, references, null, running, DecisionFiles.NONE, false, SCOPE)
        .verdict();
  }
}
