package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.report.Report;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model that no graph computes: its layers turn positions in two ways. */
@Tag("exhaustive")
class NotFusedTest {
  private static final Path CHECKPOINT = Fixtures.randomDeepSeeks().getFirst();

  @TempDir Path folder;
  private Path pack = Path.of("");

  @BeforeEach
  void convert() {
    pack =
        Packages.convert(
            CHECKPOINT,
            folder.resolve("p"),
            WrongPlans.blocks(
                b ->
                    b.feedForward() instanceof FeedForward.Dense
                        ? b.withAttention(
                            b.attention().withRotary(WrongPlans.theta(b.attention().rotary(), 2)))
                        : b));
  }

  @Test
  void thePlainReaderComputesIt() {
    try (MoxiePackage open = MoxiePackage.open(pack);
        Model model = Execution.PLAIN.open(open, Device.CPU)) {
      assertEquals(Optional.empty(), Execution.PLAIN.refusal(open, Device.CPU));
      assertTrue(LoweringCheck.compare(open, model, Precision.F32).verdict().passed());
    }
  }

  @Test
  void fusedItIsRefusedInOneSentence() {
    String message =
        assertThrows(UnsupportedException.class, () -> verify(EnumSet.of(Execution.FUSED)))
            .getMessage();
    assertTrue(message.endsWith("; run it with --execution plain."), message);
    try (MoxiePackage open = MoxiePackage.open(pack)) {
      assertEquals(message, Execution.FUSED.refusal(open, Device.CPU).orElseThrow().getMessage());
    }
  }

  @Test
  void verifyRunsThePlainReaderAloneAndSaysSo() {
    Report report = verify(EnumSet.allOf(Execution.class));
    assertEquals(Set.of("plain"), report.references().getFirst().executions().keySet());
    assertTrue(
        report.notChecked().stream().anyMatch(line -> line.startsWith("the execution fused: ")),
        report.notChecked().toString());
  }

  private Report verify(Set<Execution> executions) {
    List<Path> traces = List.of(Fixtures.traces(CHECKPOINT).getFirst());
    return Verifier.verify(pack, null, traces, executions);
  }
}
