package dev.moxie.verifier.routing;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.tokenizer.SentencePieceFile;
import dev.moxie.format.tokenizer.TokenizerFile;
import java.util.Optional;
import java.util.stream.Stream;

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
    Optional<String> tokenizer = digest(other);
    if (text && !digest(pack).equals(tokenizer)) {
      throw new UsageException(
          "--against " + other.folder(),
          "the " + TokenizerFile.NAME + " or " + SentencePieceFile.NAME + " of " + pack.folder(),
          tokenizer.isEmpty() ? "none" : "another",
          REMEDY);
    }
  }

  private static Optional<String> digest(MoxiePackage pack) {
    return Stream.of(TokenizerFile.NAME, SentencePieceFile.NAME)
        .flatMap(name -> pack.manifest().file(PackagePaths.SOURCE + name).stream())
        .map(Manifest.OtherFile::sha256)
        .findFirst();
  }
}
