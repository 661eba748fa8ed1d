package dev.moxie.format.safetensors;

/** What is known of a tensor before it has a place in a file. */
public record TensorDeclaration(String name, Dtype dtype, Shape shape) {
  /** Bytes of the tensor. */
  public long bytes() {
    return shape.bytes(dtype);
  }
}
