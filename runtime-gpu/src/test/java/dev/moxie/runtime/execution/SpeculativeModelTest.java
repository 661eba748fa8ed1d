package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.runtime.generation.Sampler;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Guesses of a prediction layer, and the text that they must not change. */
class SpeculativeModelTest {
  private static final int TOKENS = 200;

  @TempDir Path folder;

  /** A trained one, and one whose layers keep states. */
  static List<Path> checkpoints() {
    return List.of(Fixtures.tinyDeepSeek(), Fixtures.root().resolve("random/qwen3_5_moe_mtp"));
  }

  private MoxiePackage converted() {
    return Packages.convert(Fixtures.tinyDeepSeek(), folder.resolve("p"));
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void theTextIsTheSameWithAndWithoutGuesses(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven());
        SpeculativeModel speculative = model.speculative()) {
      // Longer than what passes the layers together.
      int vocabulary = pack.architecture().vocabSize();
      long[] prompt = new Random(1).longs(300, 3, vocabulary).toArray();
      for (Sampler sampler : List.of(Sampler.GREEDY, new Sampler(0.9, 40, 0.95, 7))) {
        List<Long> expected =
            Generator.generate(model, prompt, TOKENS, sampler, Set.of(), token -> {});
        assertEquals(
            expected,
            Generator.generate(speculative, prompt, TOKENS, sampler, Set.of(), token -> {}));
      }
      assertTrue(speculative.right() > 0 && speculative.right() < speculative.guesses());
    }
  }

  /** A wrong guess would pass unseen otherwise: it costs time alone. */
  @Test
  void guessesAreTheLikeliestTokensThatTransformersRecorded() {
    try (MoxiePackage pack = converted();
        var model = PlainModel.open(pack, new Unproven());
        SpeculativeModel speculative = model.speculative();
        Trace trace = Trace.open(Fixtures.traces(Fixtures.tinyDeepSeek()).getFirst())) {
      long[] ids = trace.inputIds();
      int vocabulary = pack.architecture().vocabSize();
      float[] logits = trace.floats("prediction.0.logits", ids.length - 1, vocabulary);
      speculative.begin(ids.length);
      for (long id : ids) {
        speculative.next(new long[] {id});
      }
      int right = 0;
      int guesses = 0;
      for (int t = 1; t + 1 < ids.length; t++) {
        float[] row = Arrays.copyOfRange(logits, (t - 1) * vocabulary, t * vocabulary);
        guesses++;
        if (Sampler.largest(row) == ids[t + 1]) {
          right++;
          t++; // Passed already.
        }
      }
      assertEquals(guesses, speculative.guesses());
      assertEquals(right, speculative.right());
    }
  }

  @Test
  void allLogitsAreTheModelsOwnWhereverAGuessStands() {
    try (MoxiePackage pack = converted();
        var model = PlainModel.open(pack, new Unproven());
        SpeculativeModel speculative = model.speculative()) {
      long[] ids = new Random(2).longs(40, 3, 500).toArray();
      model.begin(ids.length);
      float[] expected = model.append(ids);
      speculative.begin(ids.length);
      speculative.next(Arrays.copyOf(ids, 5));
      speculative.next(new long[] {ids[5]});
      float[] found = speculative.append(Arrays.copyOfRange(ids, 6, ids.length));
      assertArrayEquals(
          Arrays.copyOfRange(expected, expected.length - found.length, expected.length), found);
      assertEquals(ids.length, speculative.length());
    }
  }

  @Test
  void aPackageWithoutSuchLayersIsRefused() {
    try (MoxiePackage pack = Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      assertTrue(
          assertThrows(UsageException.class, model::speculative)
              .getMessage()
              .contains("expected layers for multi-token prediction"));
    }
  }
}
