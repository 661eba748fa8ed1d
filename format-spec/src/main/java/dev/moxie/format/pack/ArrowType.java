package dev.moxie.format.pack;

/** The physical types of Arrow columns that Moxie writes, and what a row puts there. */
public enum ArrowType {
  /** A {@link String}. */
  UTF8,
  /** An {@link Integer}. */
  INT32,
  /** A {@link Number} whose lowest 32 bits count. */
  UINT32,
  /** A {@link Long}. */
  INT64,
  /** A {@link Double}. */
  FLOAT64,
  /** An {@code int[]}. */
  INT32_LIST,
  /** A list of {@link Long}. */
  INT64_LIST,
  /** A {@code float[]}. */
  FLOAT32_LIST,
  /** A {@link String} of 64 hexadecimal digits, which take 32 bytes. */
  DIGEST
}
