package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.FusedModel;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Opening;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.lowering.Target;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Executions that are wrong for some lengths of chunk and right for others; graphs of CUDA run
 * here.
 */
@Exhaustive
class LoweringCheckTest {
  @TempDir Path folder;

  /**
   * Every family; in float16, which is slow here, those whose operators have inputs of their own.
   */
  static Stream<Arguments> rightGraphs() throws IOException {
    try (Stream<Path> families = Files.list(Fixtures.root().resolve("random"))) {
      Stream<Path> all =
          Stream.concat(
              Stream.of(Fixtures.tinyMixtral(), Fixtures.tinyDeepSeek()),
              families.sorted().toList().stream());
      return Stream.concat(
          all.map(checkpoint -> Arguments.of(checkpoint, Target.CPU)),
          Stream.of("mixtral", "deepseek_v3", "gpt_oss", "dbrx")
              .map(name -> Fixtures.root().resolve("random").resolve(name))
              .map(checkpoint -> Arguments.of(checkpoint, Target.CUDA)));
    }
  }

  @ParameterizedTest
  @MethodSource("rightGraphs")
  void aRightGraphPasses(Path checkpoint, Target target) {
    try (MoxiePackage pack = right(checkpoint)) {
      assumeTrue(Execution.FUSED.refusal(pack, Device.CPU).isEmpty(), "evidence.json names it");
      try (Model model = FusedModel.open(pack, Device.CPU, target, new Unproven())) {
        check(pack, target, model);
      }
    }
  }

  static List<Path> everyFamily() throws IOException {
    return rightGraphs()
        .filter(graph -> graph.get()[1].equals(Target.CPU))
        .map(graph -> (Path) graph.get()[0])
        .toList();
  }

  @ParameterizedTest
  @MethodSource("everyFamily")
  void aRightPlainModelPasses(Path checkpoint) {
    try (MoxiePackage pack = right(checkpoint);
        Model model = PlainModel.open(pack, new LoweringCheck())) {
      assertEquals(0, model.length());
    }
  }

  /** Rounding excuses nothing there. */
  @ParameterizedTest
  @ValueSource(ints = {3, 11, 16})
  void oneBitThatDependsOnTheCutIsFoundInThePlainExecution(int length) {
    try (MoxiePackage pack = right(Fixtures.tinyMixtral());
        Model model = PlainModel.open(pack, new Unproven())) {
      Model changed =
          changed(
              model,
              length,
              logits -> {
                logits[logits.length - 1] = Math.nextUp(logits[logits.length - 1]);
                return logits;
              });
      var opening = new Opening(pack, Execution.PLAIN, Device.CPU, Target.CPU, false);
      String message =
          assertThrows(
                  EnvironmentException.class,
                  () -> LoweringCheck.check(opening, changed, System::nanoTime))
              .getMessage();
      assertTrue(message.contains("in chunks of " + length + ": expected the very log"), message);
    }
  }

  /** What CUDA does where the kernel for so many tokens takes gate rows for up rows. */
  @ParameterizedTest
  @ValueSource(ints = {1, 3, 16, 64, 256})
  void gateAndUpSwappedForOneLengthOfChunkAreFound(int length) {
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    Path swapped =
        Packages.convert(
            checkpoint,
            folder.resolve("swapped"),
            WrongPlans.renamed(name -> WrongPlans.swap(name, ".w1.", ".w3.")));
    try (MoxiePackage pack = right(checkpoint);
        MoxiePackage other = MoxiePackage.open(swapped)) {
      for (Target target : List.of(Target.CPU, Target.CUDA)) {
        try (Model right = FusedModel.open(pack, Device.CPU, target, new Unproven());
            Model wrong = FusedModel.open(other, Device.CPU, target, new Unproven())) {
          String message = refusal(pack, target, new Either(right, wrong, length));
          // What the oracle knows is tried first, three tokens and one.
          String found = length < 4 ? "of the oracle's" : "chunks of " + length;
          assertTrue(message.contains(found), message);
        }
      }
    }
  }

  /** The oracle knows none of these rows. */
  @ParameterizedTest
  @CsvSource({"64, 16, 0 to 63", "512, 384, 384 to 447"})
  void rowsThatAreSwappedLateInAChunkAreFound(int length, int from, String tokens) {
    String message =
        refusalOf(
            length,
            logits -> {
              int columns = logits.length / length;
              float[] swapped = logits.clone();
              for (int row = from; row < length; row++) {
                System.arraycopy(logits, row * columns, swapped, (row ^ 1) * columns, columns);
              }
              return swapped;
            });
    assertTrue(message.contains("tokens " + tokens + " in chunks of " + length), message);
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY})
  void oneLogitThatIsNoFiniteNumberIsFound(float value) {
    String message =
        refusalOf(
            16,
            logits -> {
              logits[logits.length - 1] = value;
              return logits;
            });
    assertTrue(message.contains("finite numbers") && message.contains("found " + value), message);
  }

  private String refusalOf(int length, UnaryOperator<float[]> change) {
    try (MoxiePackage pack = right(Fixtures.tinyMixtral());
        Model model = Execution.FUSED.open(pack, Device.CPU, new Unproven())) {
      return refusal(pack, Target.CPU, changed(model, length, change));
    }
  }

  /** On CUDA, where every process does it; each look at the clock is 7 seconds later. */
  @Test
  void whatThereIsNoTimeForIsSaid() {
    var clock = new AtomicLong();
    LongSupplier nanos = () -> clock.getAndAdd(Duration.ofSeconds(7).toNanos());
    try (MoxiePackage pack = right(Fixtures.tinyMixtral());
        Model model = Execution.FUSED.open(pack, Device.CPU, new Unproven())) {
      var onCuda = new Opening(pack, Execution.FUSED, Device.CUDA, Target.CPU, false);
      assertEquals(
          "chunks of 1, 3, 16, 64, 512 tokens were not tried, or not to the end: the 30 s for that"
              + " were spent",
          LoweringCheck.check(onCuda, model, nanos).orElseThrow());
      assertEquals(Optional.empty(), LoweringCheck.check(onCuda, model, System::nanoTime));
      var onCpu = new Opening(pack, Execution.FUSED, Device.CPU, Target.CPU, false);
      assertEquals(Optional.empty(), LoweringCheck.check(onCpu, model, nanos));
    }
  }

  @Test
  void whatAModelIsTooShortForIsSaid() {
    try (MoxiePackage tiny = right(Fixtures.tinyMixtral())) {
      assertEquals(Optional.empty(), ChunkCheck.untried(tiny.architecture(), Execution.FUSED));
    }
    Path checkpoint = Fixtures.randomMixtrals().getFirst();
    try (MoxiePackage random = right(checkpoint)) {
      assertEquals(Optional.empty(), ChunkCheck.untried(random.architecture(), Execution.PLAIN));
      String untried = ChunkCheck.untried(random.architecture(), Execution.FUSED).orElseThrow();
      assertTrue(untried.startsWith("chunks of 512 tokens were not tried"), untried);
      assertTrue(untried.endsWith("256 were"), untried);
    }
  }

  /** Weights of 1e30 fit float32, their products do not. */
  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.NEGATIVE_INFINITY, 1e30f})
  void weightsThatComputeNoFiniteNumbersAreThePackagesNotTheMachines(float weight)
      throws IOException {
    Path damaged =
        DamagedCheckpoint.copy(
            Fixtures.randomMixtrals().get(1),
            folder.resolve("c"),
            DamagedCheckpoint.values(name -> name.contains("embed"), (i, values) -> weight));
    try (MoxiePackage pack = right(damaged);
        Model model = Execution.PLAIN.open(pack, Device.CPU, new Unproven())) {
      String message =
          assertThrows(UnsupportedException.class, () -> check(pack, Target.CPU, model))
              .getMessage();
      assertTrue(message.contains("finite in float32"), message);
    }
  }

  private MoxiePackage right(Path checkpoint) {
    Path target = folder.resolve("right-" + checkpoint.getFileName());
    return MoxiePackage.open(Packages.convert(checkpoint, target));
  }

  private static void check(MoxiePackage pack, Target target, Model model) {
    LoweringCheck.check(
        new Opening(pack, Execution.FUSED, Device.CPU, target, false), model, System::nanoTime);
  }

  private static String refusal(MoxiePackage pack, Target target, Model model) {
    return assertThrows(EnvironmentException.class, () -> check(pack, target, model)).getMessage();
  }

  /** Takes chunks of one length to one model, and the others to another. */
  private record Either(Model right, Model wrong, int chunk) implements Model {
    @Override
    public void begin(int capacity) {
      right.begin(capacity);
      wrong.begin(capacity);
    }

    @Override
    public float[] append(long[] ids) {
      float[] logits = right.append(ids);
      float[] other = wrong.append(ids);
      return ids.length == chunk ? other : logits;
    }

    @Override
    public int length() {
      return right.length();
    }

    @Override
    public void close() {}
  }

  /** Changes the logits of chunks of one length. */
  private static Model changed(Model model, int chunk, UnaryOperator<float[]> change) {
    return new ChangedModel(
        model, (ids, logits) -> ids.length == chunk ? change.apply(logits) : logits);
  }
}
