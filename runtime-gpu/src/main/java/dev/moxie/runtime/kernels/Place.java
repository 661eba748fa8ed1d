package dev.moxie.runtime.kernels;

/**
 * Where activations lie, float32.
 *
 * @param stride numbers from one token's to the next's
 */
record Place(long address, int stride) {
  Place columns(int first) {
    return new Place(address + (long) first * Float.BYTES, stride);
  }

  /** Those of the tokens from one on. */
  Place from(int token) {
    return columns(token * stride);
  }

  /** Whether four numbers can be read at once. */
  boolean isWhole() {
    return address % 16 == 0 && stride % 4 == 0;
  }
}
