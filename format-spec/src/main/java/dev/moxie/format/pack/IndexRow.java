package dev.moxie.format.pack;

import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
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
 * @param encoding how elements are stored: {@link #PLAIN} or {@link #FP8_BLOCK}
 * @param shard file that holds the bytes
 * @param offset of the first byte, from the start of the file
 * @param crc32c null for a stack, whose bytes its slices cover
 * @param sha256 lower-case hexadecimal; null likewise
 * @param sourceFile weight file of the checkpoint; null for stacks and padding
 * @param sourceTensor tensor in that file; null likewise
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
    String encoding,
    Shape shape,
    String shard,
    long offset,
    long bytes,
    @Nullable Long crc32c,
    @Nullable String sha256,
    @Nullable String sourceFile,
    @Nullable String sourceTensor,
    @Nullable String transform) {

  /** Elements are stored as the dtype says. */
  public static final String PLAIN = "plain";

  /** Elements are stored as {@link Fp8Blocks} says. */
  public static final String FP8_BLOCK = "fp8_block";

  /** The bytes are those of the source tensor. */
  public static final String COPY = "copy";

  /** The source's elements in another dtype, rounded as the manifest's provenance says. */
  public static final String CAST = "cast";

  /**
   * The source's e4m3 elements times their block scales, which lie in the tensor of the same name
   * with {@code _scale_inv} appended.
   */
  public static final String DEQUANTISE_FP8_BLOCK = "dequantise_fp8_block";

  /** How elements of a dtype are stored; what nobody computes with is plain bytes. */
  static String encodingOf(Role role, Dtype dtype) {
    return dtype == Fp8Blocks.VALUES && role != Role.OPAQUE ? FP8_BLOCK : PLAIN;
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
