package dev.moxie.verifier;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.MoxiePackage;

/** What measures how a model goes on with a text that it is given. */
public final class Continuing {
  private Continuing() {}

  /**
   * Makes sure that a model does.
   *
   * @throws UnsupportedException if its encoder reads the text, and what follows is another
   */
  public static void require(MoxiePackage pack) {
    if (pack.architecture().encoder() != null) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "a model that continues a text",
          "one whose encoder reads it first",
          "verify it against a trace, or pass --prompt-ids to moxie run");
    }
  }
}
