package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReshardingTest {
  private static final Manifest.Producer PRODUCER = new Manifest.Producer("test", "0");

  @TempDir Path folder;

  private static Path convert(Path checkpoint, Path target, Manifest.Layout layout) {
    var conversion = new Conversion(Set.of(), Conversion.Prediction.KEEP, null, layout);
    ConversionPlan plan = Planner.plan(Checkpoint.open(checkpoint), conversion);
    Executor.execute(plan.contents(), target, PRODUCER, 2, false, Progress.NONE);
    return target;
  }

  private static Path reshard(Path from, Path target, Manifest.Layout layout) {
    try (MoxiePackage pack = MoxiePackage.open(from)) {
      Executor.execute(Resharding.plan(pack, layout), target, PRODUCER, 2, false, Progress.NONE);
    }
    return target;
  }

  private static Manifest.Layout layout(int ranks, @Nullable Long max) {
    return new Manifest.Layout(ranks, max);
  }

  @Property(tries = 6)
  void anySequenceOfLayoutsEndsInThePackageOfTheLast(
      @ForAll @Size(min = 1, max = 3) List<@IntRange(min = 1, max = 4) Integer> ranks,
      @ForAll @Size(3) List<@IntRange(min = 1, max = 300_000) Integer> sizes,
      @ForAll boolean deepSeek)
      throws IOException {
    Path work = Files.createTempDirectory("reshard");
    try {
      Path checkpoint =
          deepSeek
              ? Fixtures.root().resolve("variants/v3-eight-groups-fp8")
              : Fixtures.randomMixtrals().getFirst();
      Path last = convert(checkpoint, work.resolve("first"), Manifest.Layout.PLAIN);
      Manifest.Layout layout = Manifest.Layout.PLAIN;
      for (int i = 0; i < ranks.size(); i++) {
        int size = sizes.get(i);
        layout = layout(ranks.get(i), size % 3 == 0 ? null : (long) size);
        last = reshard(last, work.resolve("p" + i), layout);
      }
      assertEquals(
          FolderDigests.of(convert(checkpoint, work.resolve("direct"), layout)),
          FolderDigests.of(last));
      Path back = reshard(last, work.resolve("back"), Manifest.Layout.PLAIN);
      assertEquals(FolderDigests.of(work.resolve("first")), FolderDigests.of(back));
    } finally {
      delete(work);
    }
  }

  @Test
  void everyRankHasItsExpertsInFilesOfItsOwn() {
    Path target = convert(Fixtures.tinyMixtral(), folder.resolve("p"), layout(3, null));
    try (MoxiePackage pack = MoxiePackage.open(target)) {
      Map<String, Set<Integer>> experts = new TreeMap<>();
      pack.rows().stream()
          .filter(row -> row.expert() != null && row.layer() != null && row.layer() == 1)
          .forEach(
              row ->
                  experts
                      .computeIfAbsent(row.shard(), s -> new java.util.TreeSet<>())
                      .add(row.expert()));
      assertEquals(
          Map.of(
              "experts-L001-rank-0-of-3.safetensors", Set.of(0, 1),
              "experts-L001-rank-1-of-3.safetensors", Set.of(2, 3, 4),
              "experts-L001-rank-2-of-3.safetensors", Set.of(5, 6, 7)),
          experts);
      assertEquals(3, pack.stack("layers.1.experts.down.weight").size());
    }
  }

  @Test
  void noFileHoldsMoreThanTheLimitUnlessOneTensorOrExpertDoes() {
    long limit = 200_000;
    Path target = convert(Fixtures.tinyMixtral(), folder.resolve("p"), layout(1, limit));
    try (MoxiePackage pack = MoxiePackage.open(target)) {
      Map<String, Long> bytes = new TreeMap<>();
      Map<String, Set<Integer>> experts = new TreeMap<>();
      Map<String, Integer> tensors = new TreeMap<>();
      for (IndexRow row : pack.rows()) {
        if (row.isLeaf()) {
          bytes.merge(row.shard(), row.bytes(), Long::sum);
          tensors.merge(row.shard(), 1, Integer::sum);
          if (row.expert() != null) {
            experts.computeIfAbsent(row.shard(), s -> new java.util.TreeSet<>()).add(row.expert());
          }
        }
      }
      bytes.forEach(
          (shard, size) ->
              assertTrue(
                  size <= limit
                      || tensors.get(shard) == 1
                      || experts.getOrDefault(shard, Set.of()).size() == 1,
                  shard));
    }
  }

  @Test
  void moreRanksThanExpertsAreRefused() {
    String message =
        assertThrows(
                UsageException.class,
                () -> convert(Fixtures.tinyMixtral(), folder.resolve("p"), layout(9, null)))
            .getMessage();
    assertTrue(message.contains("9 ranks for the 8 experts"), message);
  }

  @Test
  void damageIsFoundOnTheWay() throws IOException {
    Path source = convert(Fixtures.tinyMixtral(), folder.resolve("p"), Manifest.Layout.PLAIN);
    Path shard = source.resolve("experts-L002.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    bytes[bytes.length - 3] ^= 4;
    Files.write(shard, bytes);
    String message =
        assertThrows(
                CorruptException.class,
                () -> reshard(source, folder.resolve("p2"), layout(2, null)))
            .getMessage();
    assertTrue(message.contains("layers.2.block_sparse_moe.experts.7.w2.weight"), message);
  }

  private static void delete(Path root) throws IOException {
    try (Stream<Path> files = Files.walk(root)) {
      for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
