package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.generation.Generator;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

@Exhaustive
class ExecutionTest {
  @TempDir Path temporary;

  /** Those of the first two families; the verifier's tests take the others, too. */
  static Stream<Path> checkpoints() {
    return Fixtures.all().stream();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void everyExecutionGivesTheLogitsAndTheGreedyTokensOfTheReference(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, temporary.resolve("p"))) {
      for (Execution execution : Execution.of(Device.CPU)) {
        // What the fused graph does not run, evidence.json names.
        if (execution.refusal(pack, Device.CPU).isPresent()) {
          continue;
        }
        requireReference(pack, execution, Fixtures.traces(checkpoint));
      }
    }
  }

  private static void requireReference(
      MoxiePackage pack, Execution execution, List<Path> references) {
    try (Model model = execution.open(pack, Device.CPU, new Unproven())) {
      for (Path file : references) {
        try (Trace trace = Trace.open(file)) {
          long[] ids = trace.inputIds();
          float[] expected = trace.floats("logits", ids.length, pack.architecture().vocabSize());
          model.begin(ids.length);
          float[] logits = model.append(ids);
          float largest = largestMagnitude(expected);
          assertTrue(
              largestDifference(logits, expected) < 1e-4 * largest,
              () -> execution + ", " + file + ": " + largestDifference(logits, expected));
          long[] greedy = trace.generatedIds().orElseThrow();
          List<Long> own = Generator.greedy(model, ids, greedy.length, EndTokens.of(pack).ids());
          assertTrue(
              LongStream.of(greedy).boxed().toList().equals(own),
              () -> execution + ", " + file + ": " + own);
        }
      }
    }
  }

  static Stream<Arguments> attentionsInBothExecutions() {
    return Stream.of(Fixtures.randomMixtrals().getLast(), Fixtures.randomDeepSeeks().getLast())
        .flatMap(
            checkpoint ->
                Execution.of(Device.CPU).stream()
                    .map(execution -> Arguments.of(checkpoint, execution)));
  }

  @ParameterizedTest
  @MethodSource("attentionsInBothExecutions")
  void tokenByTokenGivesWhatAllAtOnceGives(Path checkpoint, Execution execution) {
    try (MoxiePackage pack = Packages.convert(checkpoint, temporary.resolve("p"));
        Model model = execution.open(pack, Device.CPU, new Unproven())) {
      long[] ids = {3, 14, 15, 92, 65, 35, 89, 79};
      model.begin(ids.length);
      float[] together = model.append(ids);
      int vocabulary = together.length / ids.length;
      model.begin(ids.length);
      for (int t = 0; t < ids.length; t++) {
        float[] alone = model.append(new long[] {ids[t]});
        float[] row = Arrays.copyOfRange(together, t * vocabulary, (t + 1) * vocabulary);
        assertTrue(largestDifference(alone, row) < 1e-5 * largestMagnitude(row));
      }
      assertEquals(ids.length, model.length());
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Execution.class,
      names = {"PLAIN", "FUSED"})
  void refusesTokensAndLengthsThatDoNotFit(Execution execution) {
    try (MoxiePackage pack =
            Packages.convert(Fixtures.randomMixtrals().getLast(), temporary.resolve("p"));
        Model model = execution.open(pack, Device.CPU, new Unproven())) {
      model.begin(2);
      assertThrows(IllegalArgumentException.class, () -> model.append(new long[] {96}));
      assertThrows(IllegalArgumentException.class, () -> model.append(new long[] {-1}));
      assertThrows(IllegalArgumentException.class, () -> model.append(new long[] {1, 2, 3}));
      assertThrows(IllegalArgumentException.class, () -> model.append(new long[0]));
      assertEquals(0, model.length());
    }
  }

  static Stream<Path> denseAndNot() {
    return Stream.of(Fixtures.tinyMixtral(), Fixtures.tinyDeepSeek());
  }

  @ParameterizedTest
  @MethodSource("denseAndNot")
  void watchingTheLayersShowsAllOfThemAndChangesNothing(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, temporary.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      long[] ids = {3, 14, 15, 92, 65};
      model.begin(ids.length);
      float[] logits = model.append(ids);
      model.begin(ids.length);
      List<Layers.Result> seen = new ArrayList<>();
      for (long[] part : List.of(new long[] {3, 14, 15}, new long[] {92, 65})) {
        seen.clear();
        model.observe(
            part,
            (layer, result) -> {
              assertEquals(seen.size(), layer);
              seen.add(result);
            });
        assertEquals(pack.architecture().layers().size(), seen.size());
      }
      assertEquals(ids.length, model.length());
      float[] last = model.head(seen.getLast().output());
      float[] expected = Arrays.copyOfRange(logits, logits.length - last.length, logits.length);
      assertTrue(largestDifference(last, expected) < 1e-5 * largestMagnitude(expected));
      assertThrows(
          IllegalArgumentException.class,
          () -> model.observe(new long[] {-1}, (layer, result) -> {}));
    }
  }

  /** Of its attention operator, the kernel of CUDA takes no mask. */
  @Test
  void chunksAreRefusedOnCudaAlone() {
    try (MoxiePackage pack = Packages.convert(Fixtures.shortChunks(), temporary.resolve("p"))) {
      assertEquals(Optional.empty(), Execution.FUSED.refusal(pack, Device.CPU));
      String message = Execution.FUSED.refusal(pack, Device.CUDA).orElseThrow().getMessage();
      assertTrue(
          message.endsWith("found attention within chunks of 6; use --device cpu."), message);
    }
  }

  @Test
  void cudaWithoutCudaNamesWhatIsMissing() {
    String message = assertThrows(EnvironmentException.class, Device.CUDA::require).getMessage();
    assertTrue(message.contains("lib"), message);
    assertEquals(Device.CPU, Device.best());
  }

  private static float largestDifference(float[] a, float[] b) {
    float largest = 0;
    for (int i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs(a[i] - b[i]));
    }
    return largest;
  }

  private static float largestMagnitude(float[] a) {
    return largestDifference(a, new float[a.length]);
  }
}
