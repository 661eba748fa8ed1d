package dev.moxie.verifier.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.FusedLayers;
import dev.moxie.runtime.execution.FusedModel;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.verifier.ChangedModel;
import dev.moxie.verifier.Packages;
import dev.moxie.verifier.Unproven;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A whole model need not choose the experts that its layers choose one by one, where rounding may
 * decide; before that token it must compute the same.
 */
class ElsewhereTest {
  private static final Path CHECKPOINT = Fixtures.tinyMixtral();

  @TempDir Path folder;

  @Test
  void otherLogitsWhereRoundingMayChangeExpertsAreSaidAndNotJudged() {
    Report.Reference last = check(Integer.MAX_VALUE);
    assertEquals(Verdict.PASS, last.verdict());
    assertTrue(
        last.diagnosis().stream()
            .anyMatch(
                s -> s.startsWith("The fused execution may have chosen other experts at tok")),
        last.diagnosis().toString());
  }

  @Test
  void otherLogitsBeforeThatAreADifference() {
    assertEquals(Verdict.FAIL, check(0).verdict());
  }

  private Report.Reference check(int token) {
    Path target = folder.resolve("p" + token);
    try (MoxiePackage pack = MoxiePackage.open(Packages.convert(CHECKPOINT, target));
        Trace trace = Trace.open(Fixtures.traces(CHECKPOINT).getFirst());
        Layers parts = new FusedLayers(pack, Device.CPU, Target.CUDA);
        Model model = FusedModel.open(pack, Device.CPU, Target.CUDA, new Unproven())) {
      Map<Execution, Model> models =
          Map.of(
              Execution.FUSED,
              new ChangedModel(model, (ids, logits) -> changed(ids, logits, token)));
      return new TraceCheck(pack, trace, null, parts, Precision.F16, models, Scope.all()).run();
    }
  }

  /** Another sign for the logits of one token of a prompt, the last one if there are fewer. */
  private static float[] changed(long[] ids, float[] logits, int token) {
    int words = logits.length / ids.length;
    int from = Math.min(token, ids.length - 1) * words;
    for (int i = from; ids.length > 1 && i < from + words; i++) {
      logits[i] = -logits[i];
    }
    return logits;
  }
}
