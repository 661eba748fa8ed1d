package dev.moxie.converter.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Layers that were left other experts convert where config.json can say so, and nowhere else. */
class PrunedExpertsTest {
  @TempDir private Path folder;

  @Test
  void aListInConfigSaysHowManyEachLayerHas() {
    EditedCheckpoint pruned = hunyuan(3);
    pruned.config(json -> json.putArray("num_experts").add(4).add(3).add(4));
    try (MoxiePackage pack =
        EditedCheckpoint.convert(
            pruned.folder(), folder.resolve("p"), EditedCheckpoint.lossless(null))) {
      List<Integer> experts = new ArrayList<>();
      pack.architecture()
          .layers()
          .forEach(l -> experts.add(((FeedForward.MixtureOfExperts) l.feedForward()).experts()));
      assertEquals(List.of(4, 3, 4), experts);
    }
  }

  @Test
  void withoutOneTheLayerAndBothCountsAreNamed() {
    String message = message(hunyuan(3));
    assertTrue(
        message.contains("3 experts in layer 1")
            && message.contains("found 4")
            && message.contains("num_experts, as a list"),
        message);
  }

  @Test
  void whereConfigHasOneNumberEachLayerMustHaveAsMany() {
    EditedCheckpoint mixtral = mixtral();
    router(mixtral, 2, 6);
    String message = message(mixtral);
    assertTrue(
        message.contains("6 experts in layer 2")
            && message.contains("num_local_experts is one number for all layers of a mixtral"),
        message);
    router(mixtral, 0, 6);
    router(mixtral, 1, 6);
    assertTrue(message(mixtral).contains("correct num_local_experts"), message(mixtral));
  }

  /** As tools leave it that take experts away and forget the router. */
  @Test
  void expertsThatTheRouterStillHasAreCounted() {
    EditedCheckpoint mixtral = mixtral();
    mixtral
        .rename(name -> name.matches(".*layers\\.1\\..*experts\\.[67]\\..*") ? null : name)
        .write();
    String message = message(mixtral);
    assertTrue(message.contains("6 experts with such a matrix in layer 1"), message);
  }

  private EditedCheckpoint mixtral() {
    return EditedCheckpoint.of(
        Fixtures.root().resolve("random/mixtral"), folder.resolve("mixtral"));
  }

  private static void router(EditedCheckpoint mixtral, int layer, int experts) {
    mixtral
        .add(
            "model.layers.%d.block_sparse_moe.gate.weight".formatted(layer),
            Dtype.BF16,
            experts,
            64)
        .write();
  }

  /** One whose second layer has so many experts. */
  private EditedCheckpoint hunyuan(int experts) {
    EditedCheckpoint pruned =
        EditedCheckpoint.of(
            Fixtures.root().resolve("random/hunyuan_v1_moe"), folder.resolve("hunyuan"));
    String router = "model.layers.1.mlp.gate.wg.weight";
    long hidden = pruned.tensor(router).shape().dim(1);
    return pruned
        .rename(name -> name.matches(".*layers\\.1\\..*experts\\.3\\..*") ? null : name)
        .add(router, pruned.tensor(router).dtype(), experts, hidden)
        .write();
  }

  private static String message(EditedCheckpoint checkpoint) {
    return String.valueOf(
        assertThrows(
                InvalidInputException.class,
                () -> Planner.plan(Checkpoint.open(checkpoint.folder()), Conversion.LOSSLESS))
            .getMessage());
  }
}
