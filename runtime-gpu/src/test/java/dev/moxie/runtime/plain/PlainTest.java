package dev.moxie.runtime.plain;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.PlainModel;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
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
        var model = PlainModel.open(pack, new Unproven())) {
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
  void anyNumberOfThreadsGivesTheSameBits() {
    assertArrayEquals(product(new Team(1)), product(new Team(7)));
  }

  /** Threads that find a failure pass it on, and the team goes on. */
  @Test
  void aTurnThatFailsFailsTheLoop() {
    var team = new Team(3);
    Team.Task failing =
        (turn, scratch) -> {
          if (turn == 70) {
            throw new IllegalStateException("turn 70");
          }
        };
    assertEquals(
        "turn 70",
        assertThrows(IllegalStateException.class, () -> team.each(100, 1 << 20, failing))
            .getMessage());
    var count = new AtomicInteger();
    team.each(1000, 1 << 20, (turn, scratch) -> count.incrementAndGet());
    assertEquals(1000, count.get());
  }

  /**
   * What another JVM is to print: the digest of a product, or what tokens of a package allocate,
   * which goes on until it is as little as the second argument says.
   */
  public static void main(String[] args) {
    if (args.length == 0) {
      System.out.println(Lanes.WIDTH + " " + Arrays.hashCode(product(new Team(2))));
      return;
    }
    try (MoxiePackage pack = MoxiePackage.open(Path.of(args[0]));
        var model = PlainModel.open(pack, new Unproven())) {
      System.out.println("bytes " + bytesOfAToken(model, Integer.parseInt(args[1])));
    }
  }

  /** Once the compiler has seen the loops: before, every vector is an object. */
  private static long bytesOfAToken(PlainModel model, int enough) {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    long[] id = {3};
    // With the first one a block of the past, which takes memory once.
    int tokens = Past.BLOCK - 1;
    long allocated = Long.MAX_VALUE;
    for (int round = 0; round < 300 && allocated > enough * tokens; round++) {
      model.begin(tokens + 1);
      model.next(id);
      long before = threads.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < tokens; i++) {
        model.next(id);
      }
      allocated = Math.min(allocated, threads.getCurrentThreadAllocatedBytes() - before);
    }
    return allocated / tokens;
  }

  static Stream<Arguments> leftovers() {
    return Stream.of(
        Arguments.of(Fixtures.tinyMixtral(), 0), Arguments.of(Fixtures.tinyDeepSeek(), 2048));
  }

  /**
   * Nothing, but for vectors that the compiler leaves as objects whatever the code says: with
   * latent attention one for each head or so; in one of six processes more, so that of several the
   * least counts. An activation alone would be larger than all of them.
   */
  @ParameterizedTest
  @MethodSource("leftovers")
  @Exhaustive
  void aTokenAllocatesNothing(Path checkpoint, int vectors) throws Exception {
    Packages.convert(checkpoint, folder.resolve("p")).close();
    int least = Integer.MAX_VALUE;
    for (int process = 0; process < 4 && least > vectors; process++) {
      String[] printed = inAnotherJvm(64, folder.resolve("p").toString(), String.valueOf(vectors));
      least = Math.min(least, Integer.parseInt(printed[1]));
    }
    assertTrue(least <= vectors, least + " bytes for a token");
  }

  @Test
  @Exhaustive
  void vectorsOfAnyWidthGiveTheSameBits() throws Exception {
    Set<String> widths = new HashSet<>();
    for (int bytes : new int[] {16, 32, 64}) {
      String[] printed = inAnotherJvm(bytes);
      assertEquals(Arrays.hashCode(product(new Team(2))), Integer.parseInt(printed[1]), printed[0]);
      widths.add(printed[0]);
    }
    assertTrue(widths.size() > 1, "this machine has vectors of one width only");
  }

  private static String[] inAnotherJvm(int vectorBytes, String... arguments) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector",
                "-XX:MaxVectorSize=" + vectorBytes,
                "-cp",
                System.getProperty("java.class.path"),
                PlainTest.class.getName()));
    command.addAll(List.of(arguments));
    Process process =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    return new String(process.getInputStream().readAllBytes(), UTF_8).split("\\s+");
  }

  private static float[] product(Team team) {
    int wide = 703;
    float[] x = random(9 * wide);
    var pass = new Pass(team);
    var program = new Program(Vectors.of(random(wide * wide), wide), pass);
    Value input = program.input(wide);
    Value y = program.linear(input, Vectors.leaf(wide));
    pass.begin(null);
    pass.add(new Past(), 0, 9);
    pass.set(input, x);
    program.run();
    return pass.copy(y);
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
