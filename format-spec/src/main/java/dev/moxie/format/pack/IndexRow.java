package dev.moxie.format.pack;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.view.View;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * One row of {@code tensors.arrow}.
 *
 * @param name canonical name of the tensor; slices carry their stack's
 * @param layer null outside the decoder layers
 * @param expert null unless a slice
 * @param projection null unless a slice
 * @param encoding how elements are stored
 * @param shard file that holds the bytes
 * @param offset of the first byte, from the start of the file
 * @param crc32c null for a stack, whose bytes its slices cover
 * @param sha256 lower-case hexadecimal; null likewise
 * @param sourceFile weight file of the checkpoint; null for stacks and padding
 * @param sourceTensor tensor in that file; null likewise
 * @param view which elements of that tensor, in which order; null likewise, and if it is all of
 *     them as they lie
 * @param transform what was done to the source's bytes; null likewise
 */
public record IndexRow(
    Kind kind,
    String name,
    Role role,
    @Nullable Integer layer,
    @Nullable Integer expert,
    @Nullable Projection projection,
    Dtype dtype,
    Encoding encoding,
    Shape shape,
    String shard,
    long offset,
    long bytes,
    @Nullable Long crc32c,
    @Nullable String sha256,
    @Nullable String sourceFile,
    @Nullable String sourceTensor,
    @Nullable View view,
    @Nullable String transform) {

  /** The bytes are those of the source tensor. */
  public static final String COPY = "copy";

  /** The source's elements in another dtype, rounded as the manifest's provenance says. */
  public static final String CAST = "cast";

  static final String DEQUANTISE = "dequantise_";
  static final String QUANTISE = "quantise_";

  /** The source's elements and what an adapter adds to them. */
  static final String MERGE = "merge";

  /** Between transforms, each of which takes what the one before gives. */
  static final char THEN = '+';

  /** The source's numbers times their scales. */
  public static String dequantise(BlockScaled encoding) {
    return DEQUANTISE + encoding.id();
  }

  /**
   * The source's elements and what an adapter adds to them.
   *
   * @param decoded what the source's own numbers and scales are; null if it has none
   */
  public static String merge(@Nullable BlockScaled decoded) {
    return decoded == null ? MERGE : dequantise(decoded) + THEN + MERGE;
  }

  /**
   * Elements as numbers and scales.
   *
   * @param before the transform that gave the elements; null if they are the source's own
   */
  public static String quantise(@Nullable String before, Quantised encoding) {
    String quantise = QUANTISE + encoding.id();
    return before == null ? quantise : before + THEN + quantise;
  }

  /** What a row stands for. */
  public enum Kind {
    /** A tensor that comes whole from one source tensor. */
    TENSOR,
    /** An expert stack; its slices follow. */
    STACK,
    /** One projection of one expert, within a stack. */
    SLICE;

    public String id() {
      return name().toLowerCase(Locale.ROOT);
    }

    public static Optional<Kind> of(String id) {
      for (Kind kind : values()) {
        if (kind.id().equals(id)) {
          return Optional.of(kind);
        }
      }
      return Optional.empty();
    }
  }

  /** Whether the row carries bytes of its own: everything but a stack. */
  public boolean isLeaf() {
    return kind != Kind.STACK;
  }

  /** The row as a message names it. */
  public String describe() {
    return describe(name, expert, projection);
  }

  /** A tensor, or a slice of it, as a message names it. */
  public static String describe(
      String name, @Nullable Integer expert, @Nullable Projection projection) {
    return projection == null
        ? name
        : name
            + (expert == null ? " (no expert, " : " (expert " + expert + ", ")
            + projection.id()
            + ")";
  }
}
