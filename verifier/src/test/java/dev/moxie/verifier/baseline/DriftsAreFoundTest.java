package dev.moxie.verifier.baseline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.Packages;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Well-formed packages of the recorded shape that compute something else. */
@Exhaustive
class DriftsAreFoundTest {
  private static final String MOE = "model.layers.%d.block_sparse_moe.";

  @TempDir Path folder;
  private Path changed;
  private Path file;
  private Baseline baseline;

  @BeforeEach
  void record() {
    changed = Checkpoints.copy(Fixtures.tinyMixtral(), folder.resolve("c"));
    file = folder.resolve("b.json");
    baseline = recordFrom(changed);
  }

  private Baseline recordFrom(Path checkpoint) {
    Path pack = Packages.convert(checkpoint, folder.resolve("p-" + checkpoint.getFileName()));
    Baseline recorded = SameNumbersPassTest.record(pack, Execution.PLAIN);
    BaselineFile.write(file, recorded);
    return recorded;
  }

  private BaselineReport check(Path checkpoint) {
    Path pack = Packages.convert(checkpoint, folder.resolve("q"));
    return SameNumbersPassTest.check(pack, file, false);
  }

  private static void assertFirst(
      @Nullable Integer layer, String step, boolean oracleAgrees, BaselineReport report) {
    assertFalse(report.verdict().passed());
    BaselineReport.Drift first = report.drifts().getFirst();
    assertEquals(layer, first.layer(), BaselineText.of(report));
    assertEquals(step, first.step(), BaselineText.of(report));
    assertEquals(oracleAgrees, first.oracleAgrees(), BaselineText.of(report));
    assertTrue(BaselineText.of(report).contains("DRIFT      " + first.place() + ", sequence "));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1234, 20479})
  void theSignOfOneWeightOfOneExpert(int element) {
    int expert = routing(0, 2).experts().getFirst().getFirst();
    Checkpoints.change(
        changed,
        MOE.formatted(2) + "experts." + expert + ".w2.weight",
        (bytes, at, size) -> bytes[at + 2 * element + 1] ^= (byte) 0x80);
    BaselineReport report = check(changed);
    assertFirst(2, "output", true, report);
    assertFalse(report.samePackage());
    assertTrue(report.diagnosis().contains("weights or its architecture are not"));
    // Only tokens that choose the expert, or come after one that does, can tell.
    for (BaselineReport.Drift drift : report.drifts()) {
      if (drift.place().equals("layer 2 output")) {
        List<List<Integer>> experts = routing(drift.sequence(), 2).experts();
        drift.tokens().forEach(t -> assertTrue(experts.get(t).contains(expert)));
      }
    }
  }

  private Baseline.Routing routing(int sequence, int layer) {
    return baseline.sequences().get(sequence).layers().get(layer).routing();
  }

  @Test
  void twoExpertsSwapped() {
    Checkpoints.swap(changed, MOE.formatted(1) + "experts.2.", MOE.formatted(1) + "experts.6.");
    assertFirst(1, "output", true, check(changed));
  }

  @Test
  void anotherEpsilon() {
    Checkpoints.configure(changed, config -> config.replace("1e-05", "2e-05"));
    assertFirst(0, "router", true, check(changed));
  }

  /** It changes no weight and here no decision, hence no output: what decides shows it. */
  @Test
  void oneBitOfTheSelectionBiasOfOneExpert() {
    Path checkpoint = Checkpoints.copy(Fixtures.tinyDeepSeek(), folder.resolve("d"));
    recordFrom(checkpoint);
    Checkpoints.change(
        checkpoint,
        "model.layers.2.mlp.gate.e_score_correction_bias",
        (bytes, at, size) -> bytes[at + 4 * 3 + 1] ^= (byte) 0x80);
    BaselineReport report = check(checkpoint);
    assertFirst(2, "router", true, report);
    report.drifts().forEach(drift -> assertEquals("layer 2 router", drift.place()));
  }

  @Test
  void anotherHead() {
    Checkpoints.change(
        changed, "lm_head.weight", (bytes, at, size) -> bytes[at + 1] ^= (byte) 0x80);
    assertFirst(null, "logits", true, check(changed));
  }

  @Test
  void expertsThatRoundingCannotHaveChosen() {
    edit(0, 1, experts -> List.of((experts.getFirst() + 1) % 8, (experts.getFirst() + 2) % 8));
    BaselineReport report = check(changed);
    assertFirst(1, "routing", true, report);
    assertTrue(report.samePackage());
    assertTrue(
        report.diagnosis().contains("the runtime that recorded them, were wrong"),
        report.diagnosis());
    assertFalse(report.diagnosis().contains("not the recorded ones"), report.diagnosis());
    assertEquals(1, report.drifts().size(), "what follows from it is not reported again");
    BaselineReport.Drift drift = report.drifts().getFirst();
    assertEquals(List.of(0), drift.tokens());
    assertEquals(routing(0, 1).experts().getFirst().toString(), drift.computed());
  }

  /** Two routers' rows are the same, so that their experts tie exactly. */
  @Test
  void aTieIsNone() {
    List<Integer> chosen = routing(0, 1).experts().getFirst();
    int twin = (chosen.getLast() + 1) % 8;
    Checkpoints.change(
        changed,
        MOE.formatted(1) + "gate.weight",
        (bytes, at, size) ->
            System.arraycopy(
                bytes, at + chosen.getLast() * size / 8, bytes, at + twin * size / 8, size / 8));
    Path checkpoint = Checkpoints.copy(changed, folder.resolve("twins"));
    baseline = recordFrom(checkpoint);
    List<Integer> now = routing(0, 1).experts().getFirst();
    assertTrue(now.contains(chosen.getLast()) != now.contains(twin), "the two contend: " + now);
    int in = now.contains(twin) ? twin : chosen.getLast();
    int out = in == twin ? chosen.getLast() : twin;
    edit(0, 1, experts -> experts.stream().map(e -> e == in ? out : e).sorted().toList());
    BaselineReport report = check(checkpoint);
    assertEquals(List.of(), report.drifts());
    assertEquals(1, report.ties());
    assertTrue(
        report.notCompared().getFirst().contains("sequence 0 from layer 1, token 0 on"),
        report.notCompared().toString());
    // The other sequences are compared in full, this one up to the tie.
    assertEquals(36 - 6, report.matrices());
    assertFalse(
        SameNumbersPassTest.check(folder.resolve("q"), file, true).verdict().passed(),
        "strictly, nothing is a tie");
  }

  /** Records other experts for the first token of a layer of a sequence. */
  private void edit(int sequence, int layer, UnaryOperator<List<Integer>> change) {
    List<Baseline.Sequence> sequences = new ArrayList<>(baseline.sequences());
    Baseline.Sequence old = sequences.get(sequence);
    List<Baseline.Layer> layers = new ArrayList<>(old.layers());
    Baseline.Routing routing = layers.get(layer).routing();
    List<List<Integer>> experts = new ArrayList<>(routing.experts());
    experts.set(0, change.apply(experts.getFirst()).stream().sorted().toList());
    layers.set(
        layer,
        new Baseline.Layer(
            new Baseline.Routing(experts, routing.smallestMargin(), routing.choice()),
            layers.get(layer).output()));
    sequences.set(sequence, new Baseline.Sequence(old.ids(), layers, old.logits(), old.greedy()));
    BaselineFile.write(
        file,
        new Baseline(
            baseline.format(),
            baseline.version(),
            baseline.producer(),
            baseline.build(),
            baseline.subject(),
            baseline.execution(),
            sequences));
  }
}
