package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Arrangement;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.Layout;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/**
 * How many experts the layers of a checkpoint have, by the rows of their routers. Tools that prune
 * experts may leave each layer others, which the config.json of most families cannot say.
 */
final class ExpertCounts {
  private ExpertCounts() {}

  /** Refuses layers that have other experts than config.json says. */
  static void require(
      Checkpoint checkpoint, Family family, Layout layout, Architecture architecture) {
    List<FeedForward> layers = new ArrayList<>();
    architecture.layers().forEach(block -> layers.add(block.feedForward()));
    int first = -1;
    Map<Integer, SourceTensor> routers = new TreeMap<>();
    for (int layer = 0; layer < layers.size(); layer++) {
      if (layers.get(layer) instanceof FeedForward.MixtureOfExperts moe) {
        Layout.Place place = layout.placeOf("layers." + layer + ".router.weight");
        SourceTensor router = checkpoint.tensors().get(place.tensor());
        // Where rows are no rows of the tensor, its shape says what is wrong.
        if (router == null
            || router.shape().rank() != 2
            || !place.arrangement().equals(Arrangement.ITSELF)) {
          return;
        }
        routers.put(layer, router);
        boolean differs = router.shape().dim(0) != moe.experts();
        first = first < 0 && differs ? layer : first;
      }
    }
    if (first >= 0) {
      SourceTensor router = Objects.requireNonNull(routers.get(first));
      long counts = routers.values().stream().map(r -> r.shape().dim(0)).distinct().count();
      throw new UnsupportedException(
          checkpoint.folder().resolve("config.json").toString(),
          "%d experts in layer %d, the rows of %s"
              .formatted(router.shape().dim(0), first, router.name()),
          ((FeedForward.MixtureOfExperts) layers.get(first)).experts() + " there",
          family.expertsRemedy(counts == 1));
    }
  }
}
