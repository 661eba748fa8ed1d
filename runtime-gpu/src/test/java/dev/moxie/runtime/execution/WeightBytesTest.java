package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a pass reads, against what the index says of the tensors that it goes through. */
class WeightBytesTest {
  /** Looked up, or read once at opening. */
  private static final Set<Role> NOT_MULTIPLIED =
      Set.of(
          Role.EMBEDDING,
          Role.HEAD,
          Role.FINAL_NORM,
          Role.ATTENTION_NORM,
          Role.FEED_FORWARD_NORM,
          Role.ATTENTION_QUERY_NORM,
          Role.ATTENTION_LATENT_NORM,
          Role.ROUTER_BIAS);

  @TempDir Path folder;

  private long expected;

  static Stream<Path> checkpoints() {
    return Stream.of(Fixtures.tinyMixtral(), Fixtures.tinyDeepSeek());
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void aPassReadsDenseMatricesAndEachChosenExpertOnceHoweverManyTokensThereAre(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      for (long[] ids : new long[][] {{3}, {14, 15, 92, 65, 35}}) {
        model.begin(ids.length);
        long before = model.weightBytes();
        expected = dense(pack);
        model.observe(ids, (layer, result) -> expected += chosen(pack, layer, result));
        assertEquals(expected, model.weightBytes() - before);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void theHeadIsReadForTheLastTokenAlone(Path checkpoint) {
    try (MoxiePackage pack = Packages.convert(checkpoint, folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      long[] ids = {14, 15, 92};
      model.begin(ids.length);
      model.observe(ids, (layer, result) -> {});
      long layers = model.weightBytes();
      model.begin(ids.length);
      model.next(ids);
      TensorSpec head =
          Tensors.ofForwardPass(pack.architecture()).stream()
              .filter(tensor -> tensor.role() == Role.HEAD)
              .findFirst()
              .orElseThrow();
      assertEquals(stored(pack, pack.tensor(head.name())), model.weightBytes() - 2 * layers);
    }
  }

  private static long dense(MoxiePackage pack) {
    return Tensors.ofForwardPass(pack.architecture()).stream()
        .filter(tensor -> tensor.stack() == null && !NOT_MULTIPLIED.contains(tensor.role()))
        .mapToLong(tensor -> stored(pack, pack.tensor(tensor.name())))
        .sum();
  }

  private static long chosen(MoxiePackage pack, int layer, Layers.Result result) {
    if (result.mixture() == null) {
      return 0;
    }
    Set<Integer> experts =
        result.mixture().decisions().stream()
            .flatMapToInt(decision -> Arrays.stream(decision.experts()))
            .boxed()
            .collect(Collectors.toSet());
    return pack.rows().stream()
        .filter(row -> row.kind() == IndexRow.Kind.SLICE && row.role() != Role.SCALE)
        .filter(row -> Objects.equals(row.layer(), layer) && experts.contains(row.expert()))
        .mapToLong(row -> stored(pack, row))
        .sum();
  }

  private static long stored(MoxiePackage pack, IndexRow row) {
    return row.bytes() + pack.scales(row).map(IndexRow::bytes).orElse(0L);
  }
}
