package dev.moxie.verifier.routing;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CorpusTest {
  private static final Windows EIGHT = Windows.apart("--max-tokens", 8);

  @TempDir Path folder;

  @Test
  void piecesOfALongTextEndWithLinesAndLoseNothing() throws IOException {
    String text = "a line of é and 🦉\n".repeat(20_000) + "no end";
    List<String> pieces = pieces(text);
    assertEquals(text, String.join("", pieces));
    assertTrue(pieces.size() > 5);
    for (String piece : pieces.subList(0, pieces.size() - 1)) {
      assertTrue(piece.endsWith("\n"));
      assertTrue(piece.length() <= TextPieces.MOST);
    }
  }

  @Test
  void aLineWithoutEndIsCutBetweenCharacters() throws IOException {
    String text = "x" + "🦉".repeat(TextPieces.MOST);
    List<String> pieces = pieces(text);
    assertEquals(text, String.join("", pieces));
    for (String piece : pieces) {
      assertFalse(Character.isHighSurrogate(piece.charAt(piece.length() - 1)));
    }
  }

  @Test
  void whatIsNoTextIsRefused() throws IOException {
    for (byte[] bytes : List.of(new byte[] {'a', (byte) 0xff}, new byte[] {'a', 0, 'b'})) {
      Path file = Files.write(folder.resolve("b"), bytes);
      assertThrows(CorruptException.class, () -> TextPieces.read(file, piece -> true));
    }
    assertThrows(CorruptException.class, () -> TextPieces.read(folder, piece -> true));
  }

  private static SequenceCutter cutter(int most, List<long[]> sequences) {
    return new SequenceCutter(
        "x",
        new long[] {1},
        Windows.apart("--max-tokens", most),
        Long.MAX_VALUE,
        (source, ids, known, first) -> sequences.add(ids));
  }

  @Test
  void everySequenceBeginsAsATextDoesAndTheLastMayBeShort() {
    List<long[]> sequences = new ArrayList<>();
    var cutter = cutter(3, sequences);
    cutter.add(new long[] {10, 11, 12});
    cutter.add(new long[] {13, 14});
    assertEquals(new Corpus.Source("x", 3, 8), cutter.finish());
    assertArrayEquals(new long[] {1, 10, 11}, sequences.get(0));
    assertArrayEquals(new long[] {1, 12, 13}, sequences.get(1));
    assertArrayEquals(new long[] {1, 14}, sequences.get(2));
  }

  @Test
  void aTextThatFitsLeavesNoEmptySequence() {
    List<long[]> sequences = new ArrayList<>();
    var cutter = cutter(3, sequences);
    cutter.add(new long[] {10, 11});
    assertEquals(new Corpus.Source("x", 1, 3), cutter.finish());
    assertEquals(1, sequences.size());
  }

  @Test
  void nothingAndNoRoomAreRefused() {
    var empty = cutter(3, new ArrayList<>());
    assertThrows(UsageException.class, empty::finish);
    assertThrows(UsageException.class, () -> cutter(1, new ArrayList<>()));
  }

  @Test
  void tokensThatTheModelDoesNotHaveAreRefused() {
    for (long wrong : List.of(-1L, 512L, Long.MIN_VALUE)) {
      var corpus = new Corpus(List.of(), List.of(), List.of(new long[] {0, wrong}));
      assertThrows(
          UsageException.class, () -> corpus.cut(null, 512, EIGHT, CorpusTest::unexpected));
    }
  }

  @Test
  void everythingIsLookedAtBeforeTheFirstSequence() throws IOException {
    Path text = Files.writeString(folder.resolve("t"), "Once");
    Path empty = Files.createFile(folder.resolve("empty"));
    long[] ids = {1, 2};
    for (Corpus corpus :
        List.of(
            new Corpus(List.of(), List.of(), List.of(ids, new long[] {512})),
            new Corpus(List.of(), List.of(), List.of(ids, new long[0])),
            new Corpus(List.of(text), List.of("x", ""), List.of(ids)),
            new Corpus(List.of(text), List.of(), List.of(new long[] {512})),
            new Corpus(List.of(text, empty), List.of(), List.of()))) {
      assertThrows(
          UsageException.class, () -> corpus.cut(null, 512, EIGHT, CorpusTest::unexpected));
    }
    var aFolder = new Corpus(List.of(text, folder), List.of(), List.of());
    assertThrows(
        CorruptException.class, () -> aFolder.cut(null, 512, EIGHT, CorpusTest::unexpected));
    var missing = new Corpus(List.of(text, folder.resolve("no")), List.of(), List.of());
    assertThrows(
        UncheckedIOException.class, () -> missing.cut(null, 512, EIGHT, CorpusTest::unexpected));
  }

  private static void unexpected(String source, long[] ids, int known, long first) {
    throw new AssertionError("a sequence was run: " + Arrays.toString(ids));
  }

  private List<String> pieces(String text) throws IOException {
    List<String> pieces = new ArrayList<>();
    TextPieces.read(Files.writeString(folder.resolve("t"), text), pieces::add);
    return pieces;
  }
}
