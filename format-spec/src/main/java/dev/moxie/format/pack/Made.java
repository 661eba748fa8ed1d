package dev.moxie.format.pack;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Shape;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What was done to a source's elements, as a row's transform names it; neither, where they were
 * copied or cast.
 *
 * @param decoded the encoding that they had
 * @param quantised the encoding that they were given
 */
record Made(@Nullable BlockScaled decoded, @Nullable Quantised quantised) {
  static final Made NEITHER = new Made(null, null);

  /** Empty if no transform has that name. */
  static Optional<Made> of(String transform) {
    if (transform.equals(IndexRow.COPY) || transform.equals(IndexRow.CAST)) {
      return Optional.of(NEITHER);
    }
    int then = transform.indexOf(IndexRow.THEN);
    if (then < 0) {
      return decoded(transform)
          .map(decoded -> new Made(decoded, null))
          .or(() -> quantised(transform).map(quantised -> new Made(null, quantised)));
    }
    return decoded(transform.substring(0, then))
        .flatMap(
            decoded ->
                quantised(transform.substring(then + 1))
                    .map(quantised -> new Made(decoded, quantised)));
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
