package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.tokenizer.AddedTokens;
import dev.moxie.format.tokenizer.SentencePieceFile;
import dev.moxie.format.tokenizer.TokenizerFile;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/** Whether a package of a checkpoint will read text. */
public final class TokenizerForm {
  /** What convert has for those who need no text. */
  public static final String OPTION = "--token-ids-only";

  /** Files that a tokenizer is read from where there is no better one, but not by this build. */
  private static final List<Pattern> OTHERS =
      List.of(
          Pattern.compile("(.*\\.)?tiktoken(\\.model)?"),
          Pattern.compile("(spiece|sentencepiece\\.bpe)\\.model"),
          Pattern.compile("vocab\\.(json|txt)"),
          Pattern.compile("merges\\.txt"));

  /** A line of tiktoken: the bytes of a token in base64, and its rank. */
  private static final Pattern RANK = Pattern.compile("[A-Za-z0-9+/]+={0,2} \\d+\\s*");

  private static final int LONGEST_LINE = 1024;

  private TokenizerForm() {}

  /**
   * Refuses a checkpoint whose tokenizer is in a form that this build does not read. One without
   * any tokenizer is fine: nobody expects text of it.
   *
   * @throws UnsupportedException with what to do
   */
  public static void require(Checkpoint checkpoint) {
    List<String> files = checkpoint.companions();
    Path folder = checkpoint.folder();
    if (files.contains(TokenizerFile.NAME)) {
      TokenizerFile.check(folder.resolve(TokenizerFile.NAME));
      return;
    }
    if (files.contains(SentencePieceFile.NAME)) {
      sentencePiece(folder, files);
      return;
    }
    files.stream()
        .filter(file -> OTHERS.stream().anyMatch(name -> name.matcher(file).matches()))
        .sorted()
        .findFirst()
        .ifPresent(
            file -> {
              throw refused(folder.resolve(file), "a tokenizer in this form alone");
            });
  }

  private static void sentencePiece(Path folder, List<String> files) {
    Path file = folder.resolve(SentencePieceFile.NAME);
    if (hasRanks(file)) {
      throw refused(file, "ranks of tiktoken");
    }
    AddedTokens.requireNone(
        SentencePieceFile.read(file),
        name -> files.contains(name) ? Optional.of(folder.resolve(name)) : Optional.empty());
  }

  /** Whether it begins as a file of tiktoken does, some of which have SentencePiece's name. */
  private static boolean hasRanks(Path file) {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file))) {
      String begin = new String(in.readNBytes(LONGEST_LINE), StandardCharsets.ISO_8859_1);
      return RANK.matcher(begin.lines().findFirst().orElse("")).matches();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static UnsupportedException refused(Path file, String found) {
    return new UnsupportedException(
        file.toString(),
        TokenizerFile.NAME + " or a " + SentencePieceFile.NAME + " of SentencePiece",
        found,
        SentencePieceFile.REMEDY);
  }
}
