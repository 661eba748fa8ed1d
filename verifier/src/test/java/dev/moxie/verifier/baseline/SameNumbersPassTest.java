package dev.moxie.verifier.baseline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.Packages;
import dev.moxie.verifier.Unproven;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.RoutingOracle;
import dev.moxie.verifier.oracle.Weights;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Packages that compute what was recorded, by whomever. */
@Exhaustive
class SameNumbersPassTest {
  static final Manifest.Producer PRODUCER = new Manifest.Producer("test", "0");

  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Fixtures.all().stream();
  }

  static Baseline record(Path pack, Execution execution) {
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      return BaselineRecorder.record(
          opened, execution, BaselineRecorder.defaultSequences(opened.architecture()), 8, PRODUCER);
    }
  }

  static BaselineReport check(Path pack, Path file, boolean strict) {
    return BaselineCheck.check(pack, file, null, strict, PRODUCER).report();
  }

  private static long largestSize(Path pack) {
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      return BaselineSize.atMost(
          opened,
          Execution.PLAIN,
          BaselineRecorder.defaultSequences(opened.architecture()),
          8,
          PRODUCER);
    }
  }

  /** Without it, the run is for nothing. */
  @Test
  void whatCannotFitInAFileIsRefusedBeforeItIsRun() {
    Path folderOfPackage = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    try (MoxiePackage pack = MoxiePackage.open(folderOfPackage)) {
      List<long[]> sequences = Collections.nCopies(64, new long[100]);
      String message =
          assertThrows(
                  UsageException.class,
                  () -> BaselineRecorder.record(pack, Execution.PLAIN, sequences, 0, PRODUCER))
              .getMessage();
      assertTrue(message.contains("for 6400 tokens in 4 layers"), message);
    }
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void recordedTwiceTheBytesAreTheSameAndHoldInEveryWay(Path checkpoint) throws IOException {
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    Path file = folder.resolve("b.json");
    Baseline baseline = record(pack, Execution.PLAIN);
    BaselineFile.write(file, baseline);
    assertTrue(Files.size(file) <= largestSize(pack), "no larger than was foretold");
    assertArrayEquals(Files.readAllBytes(file), BaselineFile.encode(record(pack, Execution.PLAIN)));
    assertEquals(baseline, BaselineFile.read(file));
    for (boolean strict : List.of(true, false)) {
      BaselineReport report = check(pack, file, strict);
      assertEquals(List.of(), report.drifts());
      assertTrue(report.verdict().passed() && report.samePackage());
      assertEquals(report.matrices(), report.identical());
      int routers = (int) baseline.subject().experts().stream().filter(e -> e > 0).count();
      int layers = baseline.subject().experts().size();
      assertEquals(4 * (layers + routers + 1), report.matrices());
      assertEquals(32 * routers, report.decisions());
    }
    // Other kernels in another order: not the same bits, but within the bounds.
    BaselineReport fused =
        BaselineCheck.check(pack, file, Execution.FUSED, false, PRODUCER).report();
    assertEquals(List.of(), fused.drifts());
    assertTrue(fused.nearest() > 0 && fused.nearest() < 1, "nearest " + fused.nearest());
    assertTrue(fused.notCompared().getFirst().contains("layers and routing"));
    assertFalse(
        BaselineCheck.check(pack, file, Execution.FUSED, true, PRODUCER)
            .report()
            .verdict()
            .passed());
  }

  @Test
  void recordedFusedItHoldsPlain() {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    Path file = folder.resolve("b.json");
    BaselineFile.write(file, record(pack, Execution.FUSED));
    assertEquals(4, check(pack, file, true).identical());
    BaselineReport plain =
        BaselineCheck.check(pack, file, Execution.PLAIN, false, PRODUCER).report();
    assertEquals(List.of(), plain.drifts());
    assertEquals(4, plain.matrices());
  }

  /**
   * The regression check of this repository's own CI. The file was written by {@code moxie baseline
   * record}; after a change that is meant to change numbers, {@code moxie baseline check --update}.
   */
  @Test
  void theCommittedBaselineHolds() throws URISyntaxException {
    Path committed = Path.of(SameNumbersPassTest.class.getResource("tiny-mixtral.json").toURI());
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    BaselineReport report = check(pack, committed, false);
    assertEquals(List.of(), report.drifts());
    assertEquals(128, report.decisions());
    assertEquals(36, report.matrices());
  }

  @Test
  void theDefaultsOfTinyMixtralFitIn64KiB() {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    assertTrue(BaselineFile.encode(record(pack, Execution.PLAIN)).length < 64 << 10);
  }

  @Test
  void inAnotherLayoutItIsAnotherPackageWithTheSameBits() {
    Path checkpoint = Fixtures.tinyMixtral();
    Path file = folder.resolve("b.json");
    BaselineFile.write(
        file, record(Packages.convert(checkpoint, folder.resolve("p")), Execution.PLAIN));
    Path spread =
        Packages.spread(checkpoint, folder.resolve("q"), new Manifest.Layout(3, 100_000L));
    BaselineReport report = check(spread, file, true);
    assertEquals(List.of(), report.drifts());
    assertFalse(report.samePackage());
  }

  /** What another implementation computed in float32 holds as if this runtime had recorded it. */
  @ParameterizedTest
  @MethodSource("checkpoints")
  void anotherImplementationsNumbersHold(Path checkpoint) {
    Path folderOfPackage = Packages.convert(checkpoint, folder.resolve("p"));
    try (MoxiePackage pack = MoxiePackage.open(folderOfPackage);
        var recorder = new SequenceRecorder(pack, Execution.PLAIN, new Unproven())) {
      var oracle = new Oracle(pack.architecture(), Weights.asStored(pack), Precision.F32);
      for (Path file : Fixtures.traces(checkpoint)) {
        try (Trace trace = Trace.open(file)) {
          Baseline.Sequence theirs = sequence(trace, pack.architecture(), oracle);
          var check =
              new SequenceCheck(0, theirs, pack.architecture(), EndTokens.of(pack).ids(), oracle);
          check.greedy(recorder.record(trace.inputIds(), theirs.greedy().size(), check).greedy());
          SequenceCheck.Outcome outcome = check.outcome();
          assertEquals(List.of(), outcome.drifts());
          assertEquals(List.of(), outcome.notCompared());
          assertTrue(outcome.identical() < outcome.matrices(), "it is another one's");
          assertTrue(outcome.nearest() < 1);
        }
      }
    }
  }

  private static Baseline.Sequence sequence(Trace trace, Architecture architecture, Oracle oracle) {
    int tokens = trace.inputIds().length;
    int width = architecture.hiddenSize();
    List<Baseline.Layer> layers = new ArrayList<>();
    for (int layer = 0; layer < architecture.layers().size(); layer++) {
      Baseline.@Nullable Routing routing =
          switch (architecture.layers().get(layer).feedForward()) {
            case FeedForward.Dense _, FeedForward.None _ -> null;
            case FeedForward.MixtureOfExperts moe -> {
              String prefix = "layers." + layer + ".router.";
              int k = moe.routing().expertsPerToken();
              int[] chosen = trace.ints(prefix + "experts", tokens, k);
              List<int[]> experts = new ArrayList<>();
              for (int t = 0; t < tokens; t++) {
                experts.add(Arrays.copyOfRange(chosen, t * k, (t + 1) * k));
              }
              RoutingOracle.Routed routed =
                  SequenceRecorder.route(
                      moe,
                      oracle.routerBias(layer, moe),
                      trace.floats(prefix + "logits", tokens, moe.experts()),
                      experts);
              yield SequenceRecorder.routing(moe, routed, routed.choice().toFloats(), experts);
            }
          };
      float[] output = trace.floats("layers." + layer + ".output", tokens, width);
      layers.add(new Baseline.Layer(routing, Summaries.of(output, width)));
    }
    int words = architecture.vocabSize();
    return new Baseline.Sequence(
        integers(trace.inputIds()),
        layers,
        Summaries.logits(trace.floats("logits", tokens, words), words),
        integers(trace.generatedIds().orElseThrow()));
  }

  private static List<Integer> integers(long[] ids) {
    return Arrays.stream(ids).mapToObj(Math::toIntExact).toList();
  }
}
