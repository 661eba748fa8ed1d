package dev.moxie.runtime.ort;

/** What tensors of ours are made of, as ONNX numbers it. */
public enum ElementType {
  FLOAT(1, Float.BYTES),
  INT32(6, Integer.BYTES),
  INT64(7, Long.BYTES),
  FLOAT16(10, Short.BYTES);

  private final int number;
  private final int bytes;

  ElementType(int number, int bytes) {
    this.number = number;
    this.bytes = bytes;
  }

  int number() {
    return number;
  }

  /** Of one element. */
  public int bytes() {
    return bytes;
  }
}
