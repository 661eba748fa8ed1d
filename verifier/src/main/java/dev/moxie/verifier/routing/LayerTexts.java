package dev.moxie.verifier.routing;

import java.util.List;

/**
 * How a layer uses its experts, text by text.
 *
 * @param texts in the order in which they were run
 */
public record LayerTexts(int layer, List<TextUse> texts) {
  public LayerTexts {
    texts = List.copyOf(texts);
  }
}
