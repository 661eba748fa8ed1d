package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.oracle.Precision;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A model whose layers turn positions in two ways, as no reference at hand does. */
@Exhaustive
class TwoRotariesTest {
  @TempDir Path folder;

  @ParameterizedTest
  @EnumSource(
      value = Execution.class,
      names = {"PLAIN", "FUSED"})
  void everyExecutionComputesIt(Execution execution) {
    Path target =
        Packages.convert(
            Fixtures.randomDeepSeeks().getFirst(),
            folder.resolve("p"),
            WrongPlans.blocks(
                b ->
                    b.feedForward() instanceof FeedForward.Dense
                        ? b.withAttention(
                            WrongPlans.withRotary(
                                (Attention.Softmax) b.attention(), r -> WrongPlans.theta(r, 2)))
                        : b));
    try (MoxiePackage pack = MoxiePackage.open(target);
        Model model = execution.open(pack, Device.CPU, new Unproven())) {
      assertTrue(LoweringCheck.compare(pack, model, Precision.F32).verdict().passed());
    }
  }
}
