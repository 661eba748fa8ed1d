package dev.moxie.verifier.diff;

import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.Arena;
import org.jspecify.annotations.Nullable;

/**
 * What is compared: a tensor, or one matrix of one expert, with its block scales if it has any.
 *
 * @param name unique among the leaves of a model
 * @param tensor under which it is reported: the stack, or the name with a star for the expert
 * @param expert null unless it is an expert's
 * @param part what tells apart the leaves that an expert has in the tensor
 * @param shape in elements
 * @param extent where its bytes are
 * @param sha256 of the bytes; null where no index states it
 */
record Leaf(
    String name,
    String tensor,
    @Nullable Integer expert,
    String part,
    Dtype dtype,
    Encoding encoding,
    Shape shape,
    Extent extent,
    @Nullable String sha256,
    @Nullable Leaf scales) {
  private static final String EXPERTS = "experts";

  /** Bytes with scales. */
  long size() {
    return extent.bytes() + (scales == null ? 0 : scales.size());
  }

  /** Dtype, and encoding where it has one, in words. */
  String stored() {
    return scales == null ? dtype.toString() : dtype + " in " + encoding.id();
  }

  /** Dtype and shape in words. */
  String form() {
    return stored() + " " + shape;
  }

  /** Whether equal bytes mean equal values. */
  boolean storedLike(Leaf other) {
    return dtype == other.dtype
        && encoding.equals(other.encoding)
        && shape.equals(other.shape)
        && (scales == null) == (other.scales == null)
        && (scales == null || other.scales == null || scales.dtype == other.scales.dtype);
  }

  /** Whether indexes state digests for both, and these are equal. */
  boolean digestsEqual(Leaf other) {
    return sha256 != null
        && sha256.equals(other.sha256)
        && (scales == null || other.scales == null || scales.digestsEqual(other.scales));
  }

  /** Whether all bytes are equal, of leaves that are stored alike. */
  boolean bytesEqual(Leaf other) {
    try (Arena arena = Arena.ofConfined()) {
      if (extent.map(arena).mismatch(other.extent.map(arena)) >= 0) {
        return false;
      }
    }
    return scales == null || other.scales == null || scales.bytesEqual(other.scales);
  }

  /** All experts that this one is among, by the start of their tensors' names. */
  String experts() {
    return tensor.substring(0, tensor.lastIndexOf(EXPERTS) + EXPERTS.length());
  }
}
