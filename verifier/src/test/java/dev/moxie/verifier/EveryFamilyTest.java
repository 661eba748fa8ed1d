package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.export.Exporter;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every checkpoint of every family and layout, in full. */
@Exhaustive
class EveryFamilyTest {
  @TempDir private Path folder;

  static Stream<Path> checkpoints() throws IOException {
    List<Path> others = Fixtures.all();
    try (Stream<Path> folders = Files.list(Fixtures.root().resolve("random"))) {
      return Stream.of(
          folders.filter(folder -> !others.contains(folder)).sorted(),
          Fixtures.encoders().stream(),
          Fixtures.papers().stream())
          .flatMap(each -> each)
          .toList()
          .stream();
    }
  }

  /** How many run it: what the fused graph does not, evidence.json names. */
  private static long executions(Path target) {
    try (MoxiePackage pack = MoxiePackage.open(target)) {
      return Execution.of(Device.CPU).stream()
          .filter(execution -> execution.refusal(pack, Device.CPU).isEmpty())
          .count();
    }
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void convertsComputesAndComesBack(Path checkpoint) throws IOException {
    Path target = Packages.convert(checkpoint, folder.resolve("p"));
    Report report =
        Verifier.verify(target, checkpoint, Fixtures.traces(checkpoint), Execution.of(Device.CPU));
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(report.equivalence().tensors(), report.equivalence().identical());
    Report.Reference reference = report.references().getFirst();
    assertEquals(reference.routing().decisions(), reference.routing().match());
    assertEquals(executions(target), reference.executions().size());
    for (Report.EndToEnd run : reference.executions().values()) {
      // Where rounding may decide which positions a token sees, it may go on otherwise.
      assertTrue(run.greedy().open() || run.greedy().tokens() == run.greedy().equal());
      assertTrue(run.logits().maxRel() < 1e-4);
    }
    try (MoxiePackage pack = MoxiePackage.open(target)) {
      Exporter.export(pack, folder.resolve("x"), 1, Progress.NONE);
    }
    assertEquals(FolderDigests.of(checkpoint), FolderDigests.of(folder.resolve("x")));
  }
}
