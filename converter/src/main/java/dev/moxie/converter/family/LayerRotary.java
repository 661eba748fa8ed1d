package dev.moxie.converter.family;

import dev.moxie.format.model.Rotary;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The rotary embedding of layers of a kind, where each kind has an object of its own within {@code
 * rope_parameters} (transformers {@code modeling_rope_utils.py}).
 *
 * @param part of each head that is turned, where that is proportional
 */
record LayerRotary(Key<Double> theta, Key<String> type, Key<Double> part, Key<Double> factor) {
  private static final String PROPORTIONAL = "proportional";

  static LayerRotary of(String kind) {
    String within = "rope_parameters." + kind + ".";
    String of = " in layers of " + kind;
    Set<String> types = Set.of("default", PROPORTIONAL);
    return new LayerRotary(
        Key.positive(within + "rope_theta", "base of the rotary angles" + of).orNone(),
        Key.word(within + "rope_type", "which pairs are turned" + of, types).or("default"),
        Key.positive(within + "partial_rotary_factor", "the part of these" + of).or(1.0),
        Key.positive(within + "factor", "what divides the angles" + of).only(1.0));
  }

  Key<?>[] keys() {
    return new Key<?>[] {theta, type, part, factor};
  }

  /** How positions turn heads of that size; null where they do not. */
  @Nullable Rotary read(Settings c, int headSize) {
    var plain = new Rotary(c.get(theta), headSize, Rotary.Pairing.HALVES, null);
    if (!c.get(type).equals(PROPORTIONAL)) {
      return plain;
    }
    if (c.get(part) > 1) {
      throw c.wrong(part, "a part, at most 1", c.get(part));
    }
    int pairs = (int) (c.get(part) * headSize / 2);
    if (pairs == 0) {
      return null;
    }
    return plain.withScaling(pairs == headSize / 2 ? null : new Rotary.Proportional(pairs));
  }
}
