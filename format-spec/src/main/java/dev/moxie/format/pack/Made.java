package dev.moxie.format.pack;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Shape;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What was done to a source's elements, as a row's transform names it; nothing of it, where they
 * were copied or cast.
 *
 * @param decoded the encoding that they had
 * @param merged whether an adapter was
 * @param quantised the encoding that they were given
 */
record Made(@Nullable BlockScaled decoded, boolean merged, @Nullable Quantised quantised) {
  static final Made NEITHER = new Made(null, false, null);

  /** Empty if no transform has that name. */
  static Optional<Made> of(String transform) {
    if (transform.equals(IndexRow.COPY) || transform.equals(IndexRow.CAST)) {
      return Optional.of(NEITHER);
    }
    var steps = new ArrayDeque<>(List.of(transform.split("\\" + IndexRow.THEN, -1)));
    BlockScaled decoded = decoded(steps.getFirst()).orElse(null);
    if (decoded != null) {
      steps.removeFirst();
    }
    boolean merged = IndexRow.MERGE.equals(steps.peekFirst());
    if (merged) {
      steps.removeFirst();
    }
    String last = steps.pollFirst();
    if (last == null) {
      return Optional.of(new Made(decoded, merged, null));
    }
    return quantised(last)
        .filter(quantised -> steps.isEmpty())
        .map(quantised -> new Made(decoded, merged, quantised));
  }

  static Made of(IndexRow row) {
    return row.transform() == null ? NEITHER : of(row.transform()).orElse(NEITHER);
  }

  private static Optional<BlockScaled> decoded(String transform) {
    return encoding(transform, IndexRow.DEQUANTISE, BlockScaled.class);
  }

  private static Optional<Quantised> quantised(String transform) {
    return encoding(transform, IndexRow.QUANTISE, Quantised.class);
  }

  private static <E extends Encoding> Optional<E> encoding(
      String transform, String verb, Class<E> kind) {
    return transform.startsWith(verb)
        ? Encoding.of(transform.substring(verb.length())).filter(kind::isInstance).map(kind::cast)
        : Optional.empty();
  }

  /** Whether a row is the scales that were made when its source's elements were quantised. */
  static boolean isScales(IndexRow row) {
    return row.role() == Role.SCALE && of(row).quantised() != null;
  }

  /** The shape of the elements that became a leaf of values. */
  Shape elements(Shape leaf) {
    return quantised == null ? leaf : quantised.matrices(leaf);
  }

  /** The shape in which the source stores what became a leaf of values. */
  Shape inSource(Shape leaf) {
    return decoded == null ? elements(leaf) : decoded.stored(elements(leaf));
  }
}
