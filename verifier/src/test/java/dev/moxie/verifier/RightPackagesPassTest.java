package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RightPackagesPassTest {
  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Fixtures.all().stream();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void onEveryLevelAndInBothExecutions(Path checkpoint) {
    List<Path> traces = Fixtures.traces(checkpoint);
    Report report =
        Verifier.verify(
            Packages.convert(checkpoint, folder.resolve("p")),
            checkpoint,
            traces,
            EnumSet.allOf(Execution.class));
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(report.equivalence().tensors(), report.equivalence().identical());
    assertEquals(traces.size(), report.references().size());
    for (Report.Reference reference : report.references()) {
      assertAll(
          () -> assertEquals(reference.routing().decisions(), reference.routing().match()),
          () -> assertEquals(reference.greedy().tokens(), reference.greedy().equal()),
          () -> assertTrue(reference.greedy().tokens() > 0),
          () -> assertTrue(reference.logits().maxRel() < 1e-4),
          () -> assertEquals(2, reference.executions().size()),
          () -> reference.layers().forEach(layer -> assertEquals("both", layer.oracle())));
    }
  }
}
