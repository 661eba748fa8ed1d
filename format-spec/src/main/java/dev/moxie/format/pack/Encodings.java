package dev.moxie.format.pack;

import dev.moxie.format.error.UnsupportedException;
import java.util.Set;

/** The encodings that SPEC.md defines, and those that this build reads. */
final class Encodings {
  private static final Set<String> DEFINED =
      Set.of(IndexRow.PLAIN, IndexRow.FP8_BLOCK, "int8_block", "int4_block", "mxfp4");

  private Encodings() {}

  /** Refuses an encoding that is not read here, for what it is. */
  static void require(String where, Manifest.Version version, String encoding) {
    String expected = "encoding \"plain\" or \"fp8_block\"";
    String found = "\"" + encoding + "\"";
    if (!DEFINED.contains(encoding)) {
      throw version.unknown(where, expected, found);
    }
    if (!encoding.equals(IndexRow.PLAIN) && !encoding.equals(IndexRow.FP8_BLOCK)) {
      throw new UnsupportedException(
          where, expected, found, "update Moxie, this build does not read that encoding");
    }
  }
}
