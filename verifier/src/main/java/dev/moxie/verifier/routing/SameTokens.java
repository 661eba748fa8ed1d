package dev.moxie.verifier.routing;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.tokenizer.TokenizerFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Whether a token is the same word to two models. */
public final class SameTokens {
  private static final String REMEDY = "compare packages of one model, or of models made from one";

  private SameTokens() {}

  /**
   * Makes sure of it.
   *
   * @param text whether tokens come from a text, so that tokenizers must be the same, too
   * @throws UsageException if it is not so
   */
  public static void require(MoxiePackage pack, MoxiePackage other, boolean text) {
    int words = pack.architecture().vocabSize();
    int others = other.architecture().vocabSize();
    if (words != others) {
      throw new UsageException(
          "--against " + other.folder(), words + " words", String.valueOf(others), REMEDY);
    }
    Optional<Path> tokenizer = other.sourceFile(TokenizerFile.NAME);
    if (text && !digest(pack.sourceFile(TokenizerFile.NAME)).equals(digest(tokenizer))) {
      throw new UsageException(
          "--against " + other.folder(),
          "the " + TokenizerFile.NAME + " of " + pack.folder(),
          tokenizer.isEmpty() ? "none" : "another",
          REMEDY);
    }
  }

  private static Optional<String> digest(Optional<Path> file) {
    return file.map(
        path -> {
          try {
            return Digests.sha256(Files.readAllBytes(path));
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }
}
