package dev.moxie.format.safetensors;

/**
 * One entry of a header.
 *
 * @param begin first byte, counted from the end of the header
 * @param end one past the last byte, counted likewise
 */
public record TensorInfo(String name, Dtype dtype, Shape shape, long begin, long end) {
  /** Bytes of the tensor. */
  public long bytes() {
    return end - begin;
  }
}
