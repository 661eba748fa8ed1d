package dev.moxie.converter.family;

import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Limits;

/** Biases of scores by distance, as T5's config.json has them. */
final class Distances {
  private static final Key<Integer> BUCKETS =
      Key.count("relative_attention_num_buckets", Limits.MAX_WIDTH, "kinds of distances").or(32);
  private static final Key<Integer> FARTHEST =
      Key.count("relative_attention_max_distance", Integer.MAX_VALUE, "all alike beyond").or(128);

  static final Keys KEYS = Keys.of(BUCKETS, FARTHEST);

  private Distances() {}

  /**
   * What the keys say.
   *
   * @param perLayer whether each layer has biases of its own
   */
  static Attention.Distances of(Settings c, boolean perLayer) {
    return new Attention.Distances(c.get(BUCKETS), c.get(FARTHEST), perLayer);
  }
}
