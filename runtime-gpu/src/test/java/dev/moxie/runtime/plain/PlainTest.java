package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.execution.PlainModel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.ForkJoinPool;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class PlainTest {
  @TempDir Path folder;

  static Stream<Path> checkpoints() {
    return Stream.of(Fixtures.tinyMixtral(), Fixtures.tinyDeepSeek());
  }

  /** No sum knows how many tokens are computed at once. */
  @ParameterizedTest
  @MethodSource("checkpoints")
  void everyCutOfASequenceGivesTheSameBits(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        var model = new PlainModel(pack)) {
      long[] ids = {3, 14, 15, 92, 65, 35, 89, 79, 32, 38};
      model.begin(ids.length);
      float[] together = model.append(ids);
      int width = together.length / ids.length;
      for (int chunk : new int[] {1, 3, 7}) {
        model.begin(ids.length);
        for (int from = 0; from < ids.length; from += chunk) {
          int to = Math.min(ids.length, from + chunk);
          assertArrayEquals(
              Arrays.copyOfRange(together, from * width, to * width),
              model.append(Arrays.copyOfRange(ids, from, to)));
        }
      }
    }
  }

  @Test
  void anyNumberOfThreadsGivesTheSameBits() throws Exception {
    int wide = 703;
    float[] matrix = random(wide * wide);
    float[] x = random(9 * wide);
    var plain = new Plain(Vectors.of(matrix, wide), new Past(), new long[0], 0, null);
    float[] alone;
    try (var one = new ForkJoinPool(1)) {
      alone = one.submit(() -> product(plain, x, wide)).get();
    }
    try (var many = new ForkJoinPool(7)) {
      assertArrayEquals(alone, many.submit(() -> product(plain, x, wide)).get());
    }
    float[] lastRow = Arrays.copyOfRange(matrix, matrix.length - wide, matrix.length);
    float[] lastToken = Arrays.copyOfRange(x, 8 * wide, 9 * wide);
    assertEquals((float) Sums.dot(lastRow, 0, lastToken, 0, wide), alone[alone.length - 1]);
  }

  private static float[] product(Plain plain, float[] x, int wide) {
    return plain.linear(Activation.of(x, wide), Vectors.leaf(wide)).values();
  }

  private static float[] random(int count) {
    var random = new Random(count);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
