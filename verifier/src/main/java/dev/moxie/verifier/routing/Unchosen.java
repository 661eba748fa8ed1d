package dev.moxie.verifier.routing;

import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Experts that no token of a run chose, and what a package without them would not hold.
 *
 * @param experts that no token chose, of all layers
 * @param allExperts of all layers
 * @param bytes of their weights
 * @param allBytes of all weights of the package
 */
public record Unchosen(int experts, int allExperts, long bytes, long allBytes) {
  static Unchosen of(MoxiePackage pack, List<LayerStatistics> layers) {
    Map<Integer, Set<Integer>> unused =
        layers.stream()
            .collect(
                Collectors.toMap(
                    LayerStatistics::layer, layer -> Set.copyOf(layer.utilisation().unused())));
    long bytes = 0;
    long all = 0;
    for (IndexRow row : pack.rows()) {
      if (row.kind() == IndexRow.Kind.STACK) {
        continue;
      }
      all += row.bytes();
      bytes += isOf(unused, row) ? row.bytes() : 0;
    }
    return new Unchosen(
        layers.stream().mapToInt(layer -> layer.utilisation().unused().size()).sum(),
        layers.stream().mapToInt(LayerStatistics::experts).sum(),
        bytes,
        all);
  }

  private static boolean isOf(Map<Integer, Set<Integer>> unused, IndexRow row) {
    return row.layer() != null
        && row.expert() != null
        && unused.getOrDefault(row.layer(), Set.of()).contains(row.expert());
  }
}
