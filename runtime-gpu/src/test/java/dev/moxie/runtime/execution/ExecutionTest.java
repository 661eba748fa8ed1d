package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.generation.Generator;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ExecutionTest {
  @TempDir Path temporary;

  static Stream<Arguments> fixturesInBothExecutions() {
    return Stream.concat(Stream.of(Fixtures.tinyMixtral()), Fixtures.randomMixtrals().stream())
        .flatMap(
            checkpoint ->
                Stream.of(Execution.values())
                    .map(execution -> Arguments.of(checkpoint, execution)));
  }

  @ParameterizedTest
  @MethodSource("fixturesInBothExecutions")
  void givesTheLogitsAndTheGreedyTokensOfTheReference(Path checkpoint, Execution execution) {
    try (MoxiePackage pack = convert(checkpoint);
        Model model = execution.open(pack, Device.CPU)) {
      for (Path file : traces(checkpoint)) {
        try (Trace trace = Trace.open(file)) {
          long[] ids = trace.inputIds();
          float[] expected = trace.floats("logits", ids.length, pack.architecture().vocabSize());
          model.begin(ids.length);
          float[] logits = model.append(ids);
          assertTrue(
              largestDifference(logits, expected) < 1e-4 * largestMagnitude(expected),
              () -> file + ": " + largestDifference(logits, expected));
          long[] greedy = trace.generatedIds().orElseThrow();
          assertArrayEquals(
              greedy,
              Generator.greedy(model, ids, greedy.length, Set.of(2L)).stream()
                  .mapToLong(Long::longValue)
                  .toArray());
        }
      }
    }
  }

  private MoxiePackage convert(Path checkpoint) {
    Path target = temporary.resolve("package");
    Executor.execute(
        Planner.plan(Checkpoint.open(checkpoint), Set.of()),
        target,
        new Manifest.Producer("test", "0"),
        2,
        false,
        Progress.NONE);
    return MoxiePackage.open(target);
  }

  private static List<Path> traces(Path checkpoint) {
    Path single = checkpoint.resolve("trace.safetensors");
    return Files.exists(single) ? List.of(single) : Fixtures.tinyMixtralTraces();
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
