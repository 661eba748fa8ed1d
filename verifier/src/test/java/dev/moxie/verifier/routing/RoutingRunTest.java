package dev.moxie.verifier.routing;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.DamagedCheckpoint;
import dev.moxie.verifier.Packages;
import dev.moxie.verifier.Unproven;
import dev.moxie.verifier.Verifier;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Report;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Exhaustive
class RoutingRunTest {
  @TempDir Path folder;

  /** A replay file, read back. */
  private record Replay(int tokens, int layers, int k, int[] experts, long[] ids, long[] offsets) {
    int[] chosen(int token, int layer) {
      int from = (token * layers + layer) * k;
      return Arrays.copyOfRange(experts, from, from + k);
    }
  }

  @Test
  void theReplayArrayHoldsTheExpertsOfTheReference() {
    Path checkpoint = Fixtures.tinyMixtral();
    List<Path> traces = Fixtures.traces(checkpoint);
    List<long[]> ids = new ArrayList<>();
    for (Path file : traces) {
      try (Trace trace = Trace.open(file)) {
        ids.add(trace.inputIds());
      }
    }
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    Path file = folder.resolve("replay.safetensors");
    RoutingReport report =
        run(pack, new Corpus(List.of(), List.of(), ids), 512, new DecisionFiles(null, file));
    Replay replay = read(file);
    assertEquals(report.tokens(), replay.tokens());
    assertEquals(ids.size() + 1, replay.offsets().length);
    for (int s = 0; s < ids.size(); s++) {
      int first = (int) replay.offsets()[s];
      assertArrayEquals(
          ids.get(s),
          Arrays.copyOfRange(replay.ids(), first, (int) replay.offsets()[s + 1]),
          "tokens of sequence " + s);
      try (Trace trace = Trace.open(traces.get(s))) {
        for (int layer = 0; layer < 4; layer++) {
          int[] expected = trace.ints("layers." + layer + ".router.experts", ids.get(s).length, 2);
          for (int t = 0; t < ids.get(s).length; t++) {
            assertEquals(
                set(Arrays.copyOfRange(expected, 2 * t, 2 * t + 2)),
                set(replay.chosen(first + t, layer)),
                "sequence " + s + ", token " + t + ", layer " + layer);
          }
        }
      }
    }
  }

  static Stream<Path> checkpoints() {
    return Fixtures.all().stream();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void tableArrayAndReportAgree(Path checkpoint) throws Exception {
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    var files = new DecisionFiles(folder.resolve("r.arrow"), folder.resolve("r.safetensors"));
    var corpus =
        new Corpus(
            List.of(), List.of(), List.of(new long[] {3, 14, 15, 92, 65, 35}, new long[] {89, 79}));
    RoutingReport report = run(pack, corpus, 4, files);
    assertEquals(3, report.sequences());
    assertEquals(8, report.tokens());
    List<Map<String, Object>> rows = RoutingTable.read(files.arrow());
    int layers = report.layers().size();
    assertEquals(8 * layers, rows.size());
    assertEquals(
        List.of(0, 0, 0, 0, 1, 1, 2, 2), column(rows, layers, "sequence"), "sequences in order");
    assertEquals(List.of(0, 1, 2, 3, 0, 1, 0, 1), column(rows, layers, "token"));
    assertEquals(List.of(3L, 14L, 15L, 92L, 65L, 35L, 89L, 79L), column(rows, layers, "token_id"));
    Replay replay = read(files.replay());
    assertArrayEquals(new long[] {0, 4, 6, 8}, replay.offsets());
    for (int l = 0; l < layers; l++) {
      LayerStatistics layer = report.layers().get(l);
      long[] counts = new long[layer.experts()];
      double smallest = Double.POSITIVE_INFINITY;
      for (int t = 0; t < 8; t++) {
        Map<String, Object> row = rows.get(t * layers + l);
        assertEquals(layer.layer(), row.get("layer"));
        assertNull(row.get("verdict"));
        assertNull(row.get("reference_experts"));
        List<?> experts = (List<?>) row.get("experts");
        assertEquals(
            experts, IntStream.of(replay.chosen(t, l)).limit(experts.size()).boxed().toList());
        experts.forEach(e -> counts[(Integer) e]++);
        assertEquals(experts.size(), ((List<?>) row.get("weights")).size());
        smallest = Math.min(smallest, (Double) row.get("margin"));
      }
      assertEquals(Arrays.stream(counts).boxed().toList(), layer.utilisation().counts());
      assertEquals(smallest, layer.smallestMargin());
    }
  }

  @Test
  void twoRunsGiveTheSameBytesAndReplaceTheirOwnFiles() throws IOException {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    Path text = Files.writeString(folder.resolve("t"), "Once upon a time a small owl\n".repeat(40));
    var corpus = new Corpus(List.of(text), List.of("3 + 4 ="), List.of());
    var files = new DecisionFiles(folder.resolve("r.arrow"), folder.resolve("r.safetensors"));
    String first = run(pack, corpus, 50, files).json();
    byte[] arrow = Files.readAllBytes(files.arrow());
    byte[] replay = Files.readAllBytes(files.replay());
    assertEquals(first, run(pack, corpus, 50, files).json());
    assertArrayEquals(arrow, Files.readAllBytes(files.arrow()));
    assertArrayEquals(replay, Files.readAllBytes(files.replay()));
  }

  /** The trained Mixtral's experts have specialised; some of them on neither of these. */
  @Test
  void textsOfTwoKindsUseExpertsOfTheirOwnAndWhatNeitherUsesIsCounted() throws IOException {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    Path tales =
        Files.writeString(folder.resolve("a"), "Once upon a time a small owl\n".repeat(99));
    Path sums = Files.writeString(folder.resolve("b"), "12 + 30 = 42\n8 - 3 = 5\n".repeat(99));
    var corpus = new Corpus(List.of(tales, sums), List.of(), List.of());
    RoutingReport report = run(pack, corpus, 512, DecisionFiles.NONE);
    for (LayerTexts layer : report.texts()) {
      assertEquals(2, layer.texts().size());
      Set<Integer> more = experts(layer.texts().getFirst().more());
      assertFalse(more.isEmpty(), "layer " + layer.layer());
      assertEquals(
          more, experts(layer.texts().getLast().less()), "of two, one is the other's rest");
    }
    assertEquals(
        report.layers().stream().mapToInt(layer -> layer.utilisation().unused().size()).sum(),
        report.unchosen().experts());
    assertEquals(32, report.unchosen().allExperts());
    // Gate, up and down of one expert, in bf16.
    assertEquals(
        report.unchosen().experts() * (3L * 128 * 160 * 2), report.unchosen().bytes(), "bytes");
    assertTrue(report.text().contains("more "), report.text());
    var alone = new Corpus(List.of(tales), List.of(), List.of());
    assertEquals(List.of(), run(pack, alone, 512, DecisionFiles.NONE).texts());
  }

  private static Set<Integer> experts(List<Preference> preferences) {
    return preferences.stream().map(Preference::expert).collect(Collectors.toSet());
  }

  @Test
  void aSequenceLongerThanAChunkGoesOnInTheCache() throws Exception {
    Path pack =
        Packages.convert(Fixtures.root().resolve("variants/v2-greedy-lite"), folder.resolve("p"));
    long[] ids = IntStream.range(0, 600).mapToLong(i -> (i * 37L) % 96).toArray();
    var files = new DecisionFiles(folder.resolve("r.arrow"), null);
    run(pack, new Corpus(List.of(), List.of(), List.of(ids)), 600, files);
    List<Map<String, Object>> rows = RoutingTable.read(files.arrow());
    List<Set<Object>> whole = new ArrayList<>();
    try (MoxiePackage open = MoxiePackage.open(pack);
        var model = PlainModel.open(open, new Unproven())) {
      model.begin(ids.length);
      model.observe(
          ids,
          (layer, result) -> {
            if (result.mixture() != null) {
              result.mixture().decisions().forEach(d -> whole.add(set(d.experts())));
            }
          });
    }
    int layers = rows.size() / ids.length;
    int compared = 0;
    for (int i = 0; i < rows.size(); i++) {
      if ((Double) rows.get(i).get("margin") > 1e-5) {
        assertEquals(
            whole.get(i % layers * ids.length + i / layers),
            Set.copyOf((List<?>) rows.get(i).get("experts")),
            "row " + i);
        compared++;
      }
    }
    assertTrue(compared > rows.size() / 2, compared + " of " + rows.size());
  }

  @Test
  void aModelThatChoosesFewerExpertsOfAsManyIsComparedAsItIs() throws IOException {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    Path fewer = DamagedCheckpoint.copy(checkpoint, folder.resolve("c"), (info, data) -> {});
    String config = Files.readString(checkpoint.resolve("config.json"));
    config = config.replace("experts_per_tok\": 2", "experts_per_tok\": 1");
    config = config.replace("max_position_embeddings\": 256", "max_position_embeddings\": 8");
    Files.writeString(fewer.resolve("config.json"), config);
    Path two = Packages.convert(checkpoint, folder.resolve("two"));
    Path one = Packages.convert(fewer, folder.resolve("one"));
    var corpus = new Corpus(List.of(), List.of(), List.of(new long[] {3, 14, 15, 92, 65, 35}));
    RoutingReport report = against(two, one, corpus, 8);
    List<LayerStatistics> alone = run(one, corpus, 8, DecisionFiles.NONE).layers();
    assertEquals(
        alone.stream().map(LayerStatistics::medianMargin).toList(),
        report.flips().stream().map(LayerFlips::medianMargin).toList());
    assertEquals(1, report.flips().getFirst().overlap(), "layer 0 gets the same in both");
    for (LayerFlips layer : report.flips()) {
      assertEquals(6, layer.flipped(), "one expert is never two");
    }
    String refusal =
        assertThrows(UsageException.class, () -> against(two, one, corpus, 9)).getMessage();
    assertTrue(refusal.contains("both models' 8 positions"), refusal);
  }

  private static RoutingReport against(Path folder, Path other, Corpus corpus, int maxTokens) {
    try (MoxiePackage pack = MoxiePackage.open(folder);
        MoxiePackage second = RoutingRun.openLike(pack, other, corpus);
        DecisionSink sink = DecisionFiles.NONE.open(pack);
        var model = PlainModel.open(pack, new Unproven());
        var others = PlainModel.open(second, new Unproven())) {
      return RoutingRun.run(pack, model, others, corpus, maxTokens, sink);
    }
  }

  @Test
  void aRunThatFailsLeavesNothing() throws IOException {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    Path out = Files.createDirectory(folder.resolve("out"));
    var files = new DecisionFiles(out.resolve("r.arrow"), out.resolve("r.safetensors"));
    var corpus = new Corpus(List.of(), List.of("Once"), List.of(new long[] {512}));
    assertThrows(UsageException.class, () -> run(pack, corpus, 8, files));
    try (Stream<Path> left = Files.list(out)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @Test
  void filesOfOthersAndPlacesInsideThePackageAreRefused() throws IOException {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    Path other = folder.resolve("other.safetensors");
    SafetensorsWriter.write(
        other,
        Map.of(),
        List.of(new SafetensorsWriter.Tensor("x", Dtype.U8, Shape.of(1), ByteBuffer.allocate(1))));
    Path index = Files.copy(pack.resolve("tensors.arrow"), folder.resolve("other.arrow"));
    Path link = Files.createSymbolicLink(folder.resolve("link"), pack);
    var corpus = new Corpus(List.of(), List.of(), List.of(new long[] {1}));
    for (DecisionFiles files :
        List.of(
            new DecisionFiles(null, other),
            new DecisionFiles(index, null),
            new DecisionFiles(other, null),
            new DecisionFiles(null, index),
            new DecisionFiles(pack.resolve("r.arrow"), null),
            new DecisionFiles(link.resolve("r.arrow"), null),
            new DecisionFiles(null, link.resolve("source/r")),
            new DecisionFiles(folder.resolve("both"), folder.resolve("both")))) {
      assertThrows(UsageException.class, () -> run(pack, corpus, 8, files), files.toString());
    }
    assertEquals(-1, Files.mismatch(pack.resolve("tensors.arrow"), index));
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(Set.of(pack, other, index, link), left.collect(Collectors.toSet()));
    }
  }

  @Test
  void aPlaceThatMayNotBeWrittenIsRefusedBeforeAnythingIsVerified() throws IOException {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    // Were it looked at first, there would be a report.
    Files.delete(pack.resolve("experts-L000.safetensors"));
    Path other = Files.writeString(folder.resolve("other"), "somebody's");
    for (DecisionFiles files :
        List.of(new DecisionFiles(other, null), new DecisionFiles(null, pack.resolve("r")))) {
      assertThrows(UsageException.class, () -> verify(pack, files));
    }
  }

  @Test
  void ofADamagedPackageNoDecisionsAreWrittenAndThatIsSaid() throws IOException {
    Path pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
    Files.delete(pack.resolve("experts-L000.safetensors"));
    var files = new DecisionFiles(folder.resolve("r.arrow"), folder.resolve("r.safetensors"));
    String notChecked = verify(pack, files).notChecked().toString();
    assertTrue(notChecked.contains("decisions, which were not written"), notChecked);
    assertFalse(verify(pack, DecisionFiles.NONE).notChecked().toString().contains("decisions"));
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(pack), left.toList());
    }
  }

  private static Report verify(Path pack, DecisionFiles files) {
    return verify(pack, Fixtures.traces(Fixtures.tinyMixtral()).subList(0, 1), files);
  }

  private static Report verify(Path pack, List<Path> traces, DecisionFiles files) {
    return Verifier.verify(
        pack,
        null,
        traces,
        null,
        Running.onCpu(EnumSet.of(Execution.PLAIN)),
        files,
        false,
        Scope.all());
  }

  @Test
  void verificationWritesVerdictsBesideBothChoices() throws Exception {
    Path checkpoint = Fixtures.tinyDeepSeek();
    Path pack = Packages.convert(checkpoint, folder.resolve("p"));
    List<Path> traces = Fixtures.traces(checkpoint).subList(0, 2);
    var files = new DecisionFiles(folder.resolve("r.arrow"), folder.resolve("r.safetensors"));
    var report = verify(pack, traces, files).references();
    List<Map<String, Object>> rows = RoutingTable.read(files.arrow());
    Replay replay = read(files.replay());
    int decisions = report.stream().mapToInt(r -> r.routing().decisions()).sum();
    assertEquals(decisions, rows.size());
    for (int i = 0; i < rows.size(); i++) {
      Map<String, Object> row = rows.get(i);
      List<?> experts = (List<?>) row.get("experts");
      assertEquals("match", row.get("verdict"));
      assertEquals(Set.copyOf(experts), Set.copyOf((List<?>) row.get("reference_experts")));
      assertEquals(experts, IntStream.of(replay.chosen(i / 3, i % 3)).boxed().toList());
    }
    assertEquals(
        report.stream().mapToDouble(r -> r.routing().smallestMargin()).min().orElseThrow(),
        rows.stream().mapToDouble(row -> (Double) row.get("margin")).min().orElseThrow());
    assertThrows(
        UsageException.class,
        () ->
            Verifier.verify(
                pack,
                null,
                List.of(),
                null,
                Running.onCpu(EnumSet.of(Execution.PLAIN)),
                files,
                false,
                Scope.all()));
  }

  private static RoutingReport run(Path folder, Corpus corpus, int maxTokens, DecisionFiles files) {
    try (MoxiePackage pack = MoxiePackage.open(folder);
        DecisionSink sink = files.open(pack);
        var model = PlainModel.open(pack, new Unproven())) {
      return RoutingRun.run(pack, model, null, corpus, maxTokens, sink);
    }
  }

  private static List<Object> column(List<Map<String, Object>> rows, int layers, String name) {
    return IntStream.range(0, rows.size() / layers)
        .mapToObj(t -> rows.get(t * layers).get(name))
        .toList();
  }

  private static Set<Object> set(int[] experts) {
    return Arrays.stream(experts).boxed().collect(Collectors.toSet());
  }

  private static Replay read(Path path) {
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      var experts = file.require("routed_experts");
      int layers = Math.toIntExact(experts.shape().dim(1));
      assertEquals(layers, file.header().metadata().get("layers").split(",").length);
      return new Replay(
          Math.toIntExact(experts.shape().dim(0)),
          layers,
          Math.toIntExact(experts.shape().dim(2)),
          file.data(experts).toArray(ValueLayout.JAVA_INT_UNALIGNED),
          file.data(file.require("input_ids")).toArray(ValueLayout.JAVA_LONG_UNALIGNED),
          file.data(file.require("sequence_offsets")).toArray(ValueLayout.JAVA_LONG_UNALIGNED));
    }
  }
}
