package dev.moxie.verifier.routing;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files of decisions that are written down by hand. */
class DecisionFilesTest {
  @TempDir Path folder;

  @Test
  void aLayerWithFewerExpertsHasMinusOneInTheReplayArray() {
    Path file = folder.resolve("r");
    try (var sink = ReplayFile.create(file, layers(Map.of(1, 1, 4, 3)))) {
      long[] ids = {70, 71};
      sink.accept(0, ids, List.of(decision(0, 1, 5), decision(0, 4, 6, 0, 2)));
      sink.accept(0, ids, List.of(decision(1, 1, 7), decision(1, 4, 1, 2, 3)));
      sink.accept(1, new long[] {72}, List.of(decision(0, 1, 0), decision(0, 4, 7, 6, 5)));
      sink.finish();
    }
    try (SafetensorsFile read = SafetensorsFile.open(file)) {
      assertEquals("1,4", read.header().metadata().get("layers"));
      assertEquals(Shape.of(3, 2, 3), read.require("routed_experts").shape());
      assertArrayEquals(
          new int[] {5, -1, -1, 6, 0, 2, 7, -1, -1, 1, 2, 3, 0, -1, -1, 7, 6, 5},
          read.data(read.require("routed_experts")).toArray(ValueLayout.JAVA_INT_UNALIGNED));
      assertArrayEquals(
          new long[] {70, 71, 72},
          read.data(read.require("input_ids")).toArray(ValueLayout.JAVA_LONG_UNALIGNED));
      assertArrayEquals(
          new long[] {0, 2, 3},
          read.data(read.require("sequence_offsets")).toArray(ValueLayout.JAVA_LONG_UNALIGNED));
    }
  }

  @Test
  void manyDecisionsBecomeSeveralBatches() throws Exception {
    int k = 1 << 15;
    int[] all = IntStream.range(0, k).toArray();
    Path file = folder.resolve("r.arrow");
    long[] ids = new long[11];
    try (var sink = RoutingArrow.create(file, layers(Map.of(0, k)))) {
      for (int t = 0; t < ids.length; t++) {
        sink.accept(0, ids, List.of(decision(t, 0, all)));
      }
      sink.finish();
    }
    List<Integer> batches = new ArrayList<>();
    assertEquals(11, RoutingTable.read(file, batches).size());
    assertEquals(List.of(4, 4, 3), batches);
  }

  private static Decision decision(int token, int layer, int... experts) {
    return new Decision(token, layer, experts, new float[experts.length], 0.5, null, null);
  }

  private static RoutedLayers layers(Map<Integer, Integer> expertsPerToken) {
    var layers = new TreeMap<Integer, FeedForward.MixtureOfExperts>();
    expertsPerToken.forEach(
        (layer, k) ->
            layers.put(
                layer,
                new FeedForward.MixtureOfExperts(
                    Math.max(8, k),
                    8,
                    FeedForward.Activation.SILU,
                    new Routing(
                        k,
                        Routing.Score.SOFTMAX,
                        null,
                        null,
                        null,
                        1,
                        Routing.WeightsApplyTo.EXPERT_OUTPUT,
                        Routing.Capacity.UNLIMITED,
                        Routing.Ties.LOWER_EXPERT_ID,
                        Dtype.F32),
                    null)));
    return new RoutedLayers(layers);
  }
}
