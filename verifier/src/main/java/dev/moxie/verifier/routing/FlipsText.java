package dev.moxie.verifier.routing;

import dev.moxie.format.text.Lines;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Flipped routing decisions as lines for a person. */
public final class FlipsText {
  private FlipsText() {}

  /** Adds a line for all layers and one for each; none without layers. */
  public static void add(Lines lines, List<LayerFlips> layers) {
    if (layers.isEmpty()) {
      return;
    }
    long flipped = layers.stream().mapToLong(LayerFlips::flipped).sum();
    long decisions = layers.stream().mapToLong(LayerFlips::decisions).sum();
    lines.add(
        "  routing    %,d of %,d decisions flip (%.2f %%)",
        flipped, decisions, 100.0 * flipped / decisions);
    for (LayerFlips layer : layers) {
      lines.add(
          "    layer %-3d %,d of %,d flip (%.2f %%), %,d of them below the median margin of %s;"
              + " %.2f %% of experts in common",
          layer.layer(),
          layer.flipped(),
          layer.decisions(),
          100 * layer.share(),
          layer.close(),
          small(layer.medianMargin()),
          100 * layer.overlap());
    }
  }

  private static String small(@Nullable Double margin) {
    return margin == null ? "none" : String.format(Locale.ROOT, "%.2g", margin);
  }
}
