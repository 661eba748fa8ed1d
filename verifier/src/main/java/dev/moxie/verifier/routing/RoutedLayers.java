package dev.moxie.verifier.routing;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import java.util.Collections;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The layers of a model that have experts.
 *
 * @param byNumber at least one
 */
record RoutedLayers(SortedMap<Integer, FeedForward.MixtureOfExperts> byNumber) {
  RoutedLayers {
    byNumber = Collections.unmodifiableSortedMap(new TreeMap<>(byNumber));
  }

  /**
   * Those of a package.
   *
   * @throws UnsupportedException if there are none
   */
  static RoutedLayers of(MoxiePackage pack) {
    SortedMap<Integer, FeedForward.MixtureOfExperts> routed = new TreeMap<>();
    List<Architecture.Blocks> layers = pack.architecture().layers();
    for (int layer = 0; layer < layers.size(); layer++) {
      if (layers.get(layer).feedForward() instanceof FeedForward.MixtureOfExperts moe) {
        routed.put(layer, moe);
      }
    }
    if (routed.isEmpty()) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "layers with experts",
          "dense ones alone",
          "there is no routing to show");
    }
    return new RoutedLayers(routed);
  }

  /** The most experts that a token has in any layer. */
  int mostPerToken() {
    return byNumber.values().stream()
        .mapToInt(moe -> moe.routing().expertsPerToken())
        .max()
        .orElseThrow();
  }
}
