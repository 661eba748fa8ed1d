package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Parts;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.oracle.Precision;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A cap of scores by itself: the one family that has it has experts that graphs do not run. */
@Exhaustive
class ScoreCapTest {
  @TempDir Path folder;

  private MoxiePackage capped(String name, double cap) {
    return MoxiePackage.open(
        Packages.convert(
            Fixtures.randomMixtrals().getFirst(),
            folder.resolve(name),
            WrongPlans.blocks(
                b ->
                    b.withAttention(
                        Parts.with((Attention.GroupedQuery) b.attention(), "scoreCap", cap)))));
  }

  @ParameterizedTest
  @EnumSource(
      value = Execution.class,
      names = {"PLAIN", "FUSED"})
  void executionsHoldScoresBelowIt(Execution execution) {
    try (MoxiePackage pack = capped("p", 0.75);
        MoxiePackage other = capped("o", 0.7);
        Model model = execution.open(pack, Device.CPU, new Unproven())) {
      assertTrue(LoweringCheck.compare(pack, model, Precision.F32).verdict().passed());
      assertFalse(LoweringCheck.compare(other, model, Precision.F32).verdict().passed());
    }
  }
}
