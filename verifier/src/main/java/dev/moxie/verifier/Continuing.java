package dev.moxie.verifier;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.MoxiePackage;

/** What measures how a model goes on with a text that it is given. */
public final class Continuing {
  private Continuing() {}

  /**
   * Makes sure that a model does.
   *
   * @throws UnsupportedException if its encoder reads the text, and what follows is another, or if
   *     it reads no text
   */
  public static void require(MoxiePackage pack) {
    requireTokens(pack);
    if (pack.architecture().encoder() != null) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "a model that continues a text",
          "one whose encoder reads it first",
          "verify it against a trace, or pass --prompt-ids to moxie run");
    }
  }

  /**
   * Makes sure that what a model reads is tokens.
   *
   * @throws UnsupportedException if it is an image
   */
  public static void requireTokens(MoxiePackage pack) {
    if (pack.architecture().image() != null) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "a model that reads tokens",
          "one that reads the patches of an image, which no text has",
          "verify it against a trace of one");
    }
  }
}
