package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.renamed;
import static dev.moxie.verifier.WrongPlans.swap;
import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.diagnosis.Budget;
import dev.moxie.verifier.reference.Progress;
import dev.moxie.verifier.reference.ReferenceCheck;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.AnnotationReport;
import dev.moxie.verifier.report.JUnitReport;
import dev.moxie.verifier.report.JsonReport;
import dev.moxie.verifier.report.MarkdownReport;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.TextReport;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.report.html.HtmlReport;
import dev.moxie.verifier.routing.DecisionFiles;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is chosen is verified, and the report says that the rest was not. */
class ScopeTest {
  private static final Path CHECKPOINT = Fixtures.tinyMixtral();
  private static final Path TRACE = Fixtures.traces(CHECKPOINT).getFirst();

  @TempDir Path folder;

  private Path right() {
    return Packages.convert(CHECKPOINT, folder.resolve("right"));
  }

  /** Gate and up of two experts of layer 2 are swapped. */
  private Path wrongInLayer2() {
    return Packages.convert(
        CHECKPOINT,
        folder.resolve("wrong"),
        renamed(
            name ->
                name.matches(".*layers\\.2\\..*experts\\.[34]\\..*")
                    ? swap(name, ".w1.", ".w3.")
                    : name));
  }

  private static Scope layers(int first, int last) {
    return new Scope(
        List.of(new Scope.Range(first, last)), Integer.MAX_VALUE, Budget.usual(), Progress.NONE);
  }

  private static Scope tokens(int tokens) {
    return new Scope(List.of(), tokens, Budget.usual(), Progress.NONE);
  }

  private static Report verify(Path pack, Scope scope) {
    return Verifier.verify(
        pack,
        null,
        List.of(TRACE),
        null,
        Running.onCpu(EnumSet.of(Execution.PLAIN)),
        DecisionFiles.NONE,
        false,
        scope);
  }

  @Test
  void aDefectInALayerThatIsLeftOutIsNotFoundAndTheReportSaysThatItWasLeftOut() {
    Report report = verify(wrongInLayer2(), layers(0, 1));
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(List.of(0, 1), numbers(report));
    assertTrue(
        report
            .notChecked()
            .contains(
                "numbers of 2 of 4 layers, 2, 3, and what is computed from the tokens on through"
                    + " all"));
  }

  @Test
  void inALayerThatIsChosenItIsFoundAndNamed() {
    Report report = verify(wrongInLayer2(), layers(2, 2));
    assertEquals(Verdict.FAIL, report.verdict());
    assertEquals(List.of(2), numbers(report));
    assertTrue(
        String.join(" ", report.references().getFirst().diagnosis())
            .contains("gate and up swapped in experts 3, 4"));
  }

  @Test
  void theEmbeddingBelongsToTheFirstLayerAndTheHeadToTheLast() {
    Path pack = right();
    Report.Reference first = verify(pack, layers(0, 1)).references().getFirst();
    Report.Reference last = verify(pack, layers(2, 3)).references().getFirst();
    assertAll(
        () -> assertNotNull(first.ends().embedding()),
        () -> assertNull(first.ends().head()),
        () -> assertNull(last.ends().embedding()),
        () -> assertNotNull(last.ends().head()),
        () -> assertNull(last.logits()),
        () -> assertNull(last.greedy()),
        () -> assertTrue(last.executions().isEmpty()));
  }

  @Test
  void everyLayerByItsNumberIsEverything() {
    Path pack = right();
    assertEquals(
        TextReport.of(verify(pack, Scope.all())), TextReport.of(verify(pack, layers(0, 3))));
  }

  @Test
  void ofATraceOfSomeLayersThoseAreVerified() {
    Path some = folder.resolve("some.safetensors");
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    try (SafetensorsFile file = SafetensorsFile.open(TRACE)) {
      for (TensorInfo info : file.header().tensors()) {
        if (!info.name().matches("layers\\.[03]\\..*|logits|generated_ids")) {
          byte[] bytes = file.data(info).toArray(ValueLayout.JAVA_BYTE);
          tensors.add(
              new SafetensorsWriter.Tensor(
                  info.name(), info.dtype(), info.shape(), ByteBuffer.wrap(bytes)));
        }
      }
    }
    SafetensorsWriter.write(some, Map.of(), tensors);
    Report report =
        Verifier.verify(
            right(),
            null,
            List.of(some),
            null,
            Running.onCpu(EnumSet.of(Execution.PLAIN)),
            DecisionFiles.NONE,
            false,
            layers(1, 2));
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(List.of(1, 2), numbers(report));
  }

  @Test
  void aLayerThatTheModelLacksIsRefused() {
    Path pack = right();
    var e = assertThrows(UsageException.class, () -> verify(pack, layers(2, 4)));
    assertTrue(
        e.getMessage().contains("layers from 0 to 3, found 4; name layers that it has"),
        e.getMessage());
  }

  @Test
  void decisionsOfSomeLayersAreNoReplay() {
    Path pack = right();
    var files = new DecisionFiles(null, folder.resolve("replay.safetensors"));
    assertThrows(
        UsageException.class,
        () ->
            Verifier.verify(
                pack,
                null,
                List.of(TRACE),
                null,
                Running.onCpu(EnumSet.of(Execution.PLAIN)),
                files,
                false,
                layers(0, 1)));
  }

  @Test
  void theFirstTokensAreVerifiedAloneAndTheReportSaysSo() {
    Report report = verify(right(), tokens(5));
    Report.Reference reference = report.references().getFirst();
    int all;
    try (Trace trace = Trace.open(TRACE)) {
      all = trace.inputIds().length;
    }
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(5, reference.tokens());
    assertEquals(5 * 4, reference.routing().decisions());
    assertEquals(0, reference.greedy().tokens());
    assertTrue(
        report
            .notChecked()
            .contains(
                "tokens 5 to %d of %s, and what was generated after them"
                    .formatted(all - 1, TRACE)));
  }

  /** Layers that predict tokens further ahead say something of fewer of them. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 7})
  void ofWhatIsPredictedFurtherAheadTheFirstTokensAreVerifiedToo(int tokens) {
    Path checkpoint = Fixtures.tinyDeepSeek();
    Report report =
        Verifier.verify(
            Packages.convert(checkpoint, folder.resolve("p")),
            null,
            List.of(Fixtures.traces(checkpoint).getFirst()),
            null,
            Running.onCpu(EnumSet.of(Execution.PLAIN)),
            DecisionFiles.NONE,
            false,
            tokens(tokens));
    assertEquals(Verdict.PASS, report.verdict());
    assertEquals(tokens == 1 ? 0 : 1, report.references().getFirst().ends().prediction().size());
  }

  @Test
  void moreTokensThanThereAreIsAllOfThem() {
    Path pack = right();
    assertEquals(
        TextReport.of(verify(pack, Scope.all())), TextReport.of(verify(pack, tokens(1000))));
  }

  @Test
  void everyLayerIsToldOfAloneAndFromTheTokensOn() {
    List<String> told = new ArrayList<>();
    var progress =
        new Progress() {
          @Override
          public void begin(int parts) {
            told.add(parts + " parts");
          }

          @Override
          public void done(String part) {
            told.add(part);
          }
        };
    Path pack = right();
    verify(pack, new Scope(List.of(), 3, Budget.usual(), progress));
    verify(pack, new Scope(List.of(new Scope.Range(1, 1)), 3, Budget.usual(), progress));
    assertEquals(
        List.of(
            "8 parts",
            "layer 0 alone",
            "layer 1 alone",
            "layer 2 alone",
            "layer 3 alone",
            "layer 0 from the tokens on",
            "layer 1 from the tokens on",
            "layer 2 from the tokens on",
            "layer 3 from the tokens on",
            "1 parts",
            "layer 1 alone"),
        told);
  }

  /** Every look at the clock takes a second. */
  private static Budget seconds(int seconds) {
    var clock = new AtomicLong();
    return new Budget(
        Duration.ofSeconds(seconds), () -> clock.addAndGet(Duration.ofSeconds(1).toNanos()));
  }

  @Test
  void whatTheTimeForDiagnosisDidNotSufficeForIsListed() {
    Path pack = wrongInLayer2();
    Report short_ = verify(pack, new Scope(List.of(), 12, seconds(8), Progress.NONE));
    String said = String.join("\n", short_.references().getFirst().diagnosis());
    assertAll(
        () -> assertEquals(Verdict.FAIL, short_.verdict()),
        () -> assertTrue(said.contains("the first wrong step is experts"), said),
        () ->
            assertTrue(
                said.contains(
                    "Not tried, since the 8 s for diagnosis were spent (--diagnosis): experts in"
                        + " other places, other norms, displaced block scales,"),
                said));
  }

  @Test
  void withoutAnyTimeTheDifferenceIsStillFound() {
    Report none = verify(wrongInLayer2(), new Scope(List.of(), 12, seconds(0), Progress.NONE));
    String said = String.join("\n", none.references().getFirst().diagnosis());
    assertEquals(Verdict.FAIL, none.verdict());
    assertTrue(said.contains("Layer 2 is the first that differs"), said);
    assertTrue(said.contains("There was no time to look inside it (--diagnosis)"), said);
  }

  @Test
  void everyFormOfTheReportHasPlaceForWhatWasLeftOut() {
    Report report = verify(right(), layers(1, 1));
    for (String form :
        List.of(
            TextReport.of(report),
            JsonReport.of(report),
            HtmlReport.of(report, null),
            JUnitReport.of(report),
            MarkdownReport.of(report),
            AnnotationReport.of(report))) {
      assertTrue(form.contains("numbers of 3 of 4 layers, 0, 2, 3"), form);
    }
  }

  /** Without integrity, which reads every byte, nobody looks at what no token chose. */
  @Test
  void onlyExpertsThatTokensChoseAreRead() throws IOException {
    Path folder = right();
    Set<Integer> chosen = new HashSet<>();
    try (Trace trace = Trace.open(TRACE);
        MoxiePackage pack = MoxiePackage.open(folder)) {
      int[] experts = trace.ints("layers.0.router.experts", trace.inputIds().length, 2);
      chosen.add(experts[0]);
      chosen.add(experts[1]);
      for (int expert = 0; expert < 8; expert++) {
        if (!chosen.contains(expert)) {
          damage(folder, pack.slice("layers.0.experts.gate_up.weight", expert, Projection.UP));
        }
      }
    }
    assertEquals(Verdict.PASS, reference(folder, tokens(1)).verdict());
    assertThrows(CorruptException.class, () -> reference(folder, Scope.all()));
  }

  private static void damage(Path folder, IndexRow row) throws IOException {
    try (var file = FileChannel.open(folder.resolve(row.shard()), StandardOpenOption.WRITE)) {
      byte[] ones = new byte[Math.toIntExact(row.bytes())];
      Arrays.fill(ones, (byte) -1);
      file.write(ByteBuffer.wrap(ones), row.offset());
    }
  }

  private static Report.Reference reference(Path folder, Scope scope) {
    try (MoxiePackage pack = MoxiePackage.open(folder);
        Trace trace = Trace.open(TRACE);
        var check =
            new ReferenceCheck(
                pack,
                Running.onCpu(EnumSet.of(Execution.PLAIN)),
                new ProofByReport(false),
                scope)) {
      return check.run(trace, null);
    }
  }

  private static List<Integer> numbers(Report report) {
    return report.references().getFirst().layers().stream().map(Report.Layer::layer).toList();
  }
}
