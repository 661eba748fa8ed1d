package dev.moxie.runtime.plain;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What layers keep of the tokens of one sequence. */
public final class Past {
  /** A layer keeps two numbers rows of a token: its key and value, or its latent and turned key. */
  private final Map<Integer, Kept> layers = new HashMap<>();

  /**
   * Rows of one layer, by position.
   *
   * @param keys or latents
   * @param values or the keys that all heads share
   */
  record Kept(List<float[]> keys, List<float[]> values) {}

  /** Appends the rows of new tokens and gives all so far. */
  Kept append(int layer, Activation keys, Activation values) {
    Kept kept = layers.computeIfAbsent(layer, l -> new Kept(new ArrayList<>(), new ArrayList<>()));
    for (int t = 0; t < keys.rows(); t++) {
      kept.keys().add(keys.row(t));
      kept.values().add(values.row(t));
    }
    return kept;
  }
}
