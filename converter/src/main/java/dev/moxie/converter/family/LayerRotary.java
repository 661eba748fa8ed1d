package dev.moxie.converter.family;

import dev.moxie.format.model.Rotary;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The rotary embedding of layers of a kind, whose turned part of each head may be proportional
 * (transformers {@code modeling_rope_utils.py}).
 */
record LayerRotary(RotarySettings.OfKind kind, Key<String> type, Key<Double> factor) {
  private static final String PROPORTIONAL = "proportional";

  static LayerRotary of(RotarySettings.OfKind kind) {
    String within = kind.scaling().name() + ".";
    Set<String> types = Set.of("default", PROPORTIONAL);
    return new LayerRotary(
        kind,
        Key.word(within + "rope_type", "which pairs are turned in " + kind.layers(), types)
            .or("default"),
        Key.positive(within + "factor", "what divides the angles in " + kind.layers()).only(1.0));
  }

  Key<?>[] keys() {
    return new Key<?>[] {kind.theta(), type, kind.part(), factor};
  }

  /** How positions turn heads of that size; null where they do not. */
  @Nullable Rotary read(Settings c, int headSize) {
    var plain = new Rotary(c.get(kind.theta()), headSize, Rotary.Pairing.HALVES, null);
    if (!c.get(type).equals(PROPORTIONAL)) {
      return plain;
    }
    if (c.get(kind.part()) > 1) {
      throw c.wrong(kind.part(), "a part, at most 1", c.get(kind.part()));
    }
    int pairs = (int) (c.get(kind.part()) * headSize / 2);
    if (pairs == 0) {
      return null;
    }
    return plain.withScaling(pairs == headSize / 2 ? null : new Rotary.Proportional(pairs));
  }
}
