package dev.moxie.runtime.plain;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What layers keep of the tokens of one sequence. */
public final class Past {
  /** Of every token two rows: its keys and values, or its latent and the key of all heads. */
  private final Map<Integer, Kept> layers = new HashMap<>();

  /**
   * The rows of one layer, by position.
   *
   * @param keys of every key/value head, or latents
   * @param values of those heads, or keys that all heads share
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
