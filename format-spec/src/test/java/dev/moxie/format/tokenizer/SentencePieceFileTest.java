package dev.moxie.format.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.tokenizer.SentencePieceFile.Algorithm;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Models of SentencePiece that contradict themselves, or ask for what is not done here. */
class SentencePieceFileTest {
  @TempDir Path folder;

  /** Writes fields of a message. */
  private static final class Message {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();

    Message number(int field, long value) {
      varint(field << 3);
      return varint(value);
    }

    private Message varint(long value) {
      long rest = value;
      while (rest < 0 || rest > 0x7f) {
        out.write((int) (rest & 0x7f | 0x80));
        rest >>>= 7;
      }
      out.write((int) rest);
      return this;
    }

    Message real(int field, float value) {
      varint(field << 3 | 5);
      return raw(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array());
    }

    Message bytes(int field, byte[] value) {
      varint(field << 3 | 2);
      varint(value.length);
      return raw(value);
    }

    Message text(int field, String value) {
      return bytes(field, value.getBytes(StandardCharsets.UTF_8));
    }

    Message raw(byte... value) {
      out.writeBytes(value);
      return this;
    }

    Message with(int field, Message message) {
      return bytes(field, message.out.toByteArray());
    }

    byte[] all() {
      return out.toByteArray();
    }
  }

  private static Message piece(String text, float score, int kind) {
    return new Message().text(1, text).real(2, score).number(3, kind);
  }

  private static Message sound() {
    return new Message()
        .with(1, piece("<unk>", 0, 2))
        .with(1, piece("<s>", 0, 3))
        .with(1, piece("a", -1, 1))
        .with(1, piece("\u2581a", -2, 1));
  }

  private SentencePieceFile read(byte[] bytes) throws IOException {
    Path file = folder.resolve(SentencePieceFile.NAME);
    Files.write(file, bytes);
    return SentencePieceFile.read(file);
  }

  @Test
  void whatAModelLeavesOutHasTheValuesOfItsDefinition() throws IOException {
    SentencePieceFile file = read(sound().all());
    assertEquals(Algorithm.UNIGRAM, file.algorithm());
    assertEquals(4, file.pieces().size());
    assertTrue(file.dummySpace() && file.singleSpaces() && file.marksSpaces());
    assertEquals("<s>", file.beginning());
    assertEquals(" \u2047 ", file.unknownText());
  }

  static Stream<Arguments> lies() {
    Message bpe = new Message().number(3, 2);
    Message bytes = new Message().number(35, 1);
    byte[] table = {1, 2, 3};
    return Stream.of(
        lie("no piece for what is unknown", "unknown", new Message().with(1, piece("a", 0, 1))),
        lie("two of them", "second", sound().with(1, piece("<u>", 0, 2))),
        lie("a piece twice", "second", sound().with(1, piece("a", 0, 1))),
        lie("a piece without text", "some text", sound().with(1, piece("", 0, 1))),
        lie("a score that is no number", "finite", sound().with(1, piece("b", Float.NaN, 1))),
        lie("a piece of no kind", "kind from 1 to 6", sound().with(1, piece("b", 0, 7))),
        lie("a kind beyond 64 bits", "ten bytes", sound().with(1, longKind())),
        lie("bytes that none declares", "0 bytes", sound().with(1, piece("<0x00>", 0, 6))),
        lie("bytes that are not there", "256 bytes", sound().with(2, bytes)),
        lie("two trainers", "second", sound().with(2, bpe).with(2, bpe)),
        lie("two normalizers", "second", sound().with(3, new Message()).with(3, new Message())),
        lie("a flag of 2", "0 or 1", sound().with(3, new Message().number(3, 2))),
        lie("text that is no UTF-8", "UTF-8", sound().with(1, badText())),
        lie("a length beyond the file", "run of at most", sound().raw((byte) 0x0a, (byte) 0x7f)),
        lie("a length below zero", "run of at most", sound().raw((byte) 0x0a).raw(negative())),
        lie("a group", "known kind", sound().raw((byte) 0x23)),
        lie("field 0", "number of a field", sound().raw((byte) 0x02, (byte) 0)),
        lie("an unknown field", "fields 1 to 5", sound().number(9, 1)),
        lie("a table", "replaces", sound().with(3, new Message().bytes(2, table))),
        lie(
            "a table for what is decoded",
            "replaces",
            sound().with(5, new Message().bytes(2, table))),
        lie("words as pieces", "unigram", sound().with(2, new Message().number(3, 3))),
        lie(
            "an algorithm beyond ints",
            "unigram",
            sound().with(2, new Message().number(3, 1L << 33))),
        lie("a long piece", "at most 1024", sound().with(1, piece("x".repeat(1025), 0, 1))),
        lie("user-defined pieces of a unigram model", "users", sound().with(1, piece("b", 0, 4))));
  }

  private static byte[] negative() {
    return new byte[] {-1, -1, -1, -1, -1, -1, -1, -1, -1, 1};
  }

  private static Message longKind() {
    byte[] number = {0x18, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1};
    return new Message().text(1, "b").raw(number);
  }

  private static Message badText() {
    return new Message().bytes(1, new byte[] {(byte) 0xff});
  }

  private static Arguments lie(String name, String says, Message file) {
    return Arguments.of(Named.of(name, file), says);
  }

  @ParameterizedTest
  @MethodSource("lies")
  void aLieIsRefusedInOneSentence(Message file, String says) {
    InvalidInputException e = assertThrows(InvalidInputException.class, () -> read(file.all()));
    assertTrue(e.getMessage().contains(says), e.getMessage());
    assertTrue(e.getMessage().contains(SentencePieceFile.NAME), e.getMessage());
  }

  @Test
  void everyEndIsNoticedThatIsNotBetweenTwoFields() throws IOException {
    byte[] whole = sound().all();
    for (int end = 0; end < whole.length; end++) {
      byte[] part = Arrays.copyOf(whole, end);
      try {
        assertTrue(read(part).pieces().size() < 4, "cut at " + end);
      } catch (CorruptException e) {
        assertTrue(e.getMessage().contains("expected"), e.getMessage());
      }
    }
  }

  @Test
  void noMutantEndsInAnythingButASentence() throws IOException {
    byte[] whole = sound().with(2, new Message().number(3, 2).text(46, "<s>")).all();
    var random = new Random(7);
    for (int i = 0; i < 5000; i++) {
      byte[] mutant = whole.clone();
      for (int change = random.nextInt(3); change >= 0; change--) {
        mutant[random.nextInt(mutant.length)] = (byte) random.nextInt(256);
      }
      try {
        read(mutant);
      } catch (InvalidInputException e) {
        assertTrue(e.getMessage().contains("; "), e.getMessage());
      }
    }
  }

  @Test
  void tokensBesideThePiecesAreRefused() throws IOException {
    SentencePieceFile file = read(sound().all());
    Path added = Files.writeString(folder.resolve("added_tokens.json"), "{\"<pad>\": 4}");
    Path config = folder.resolve("tokenizer_config.json");
    Files.writeString(config, "{\"added_tokens_decoder\": {\"1\": {\"content\": \"<s>\"}}}");
    AddedTokens.requireNone(file, name -> named(config, name));
    assertThrows(
        UnsupportedException.class,
        () -> AddedTokens.requireNone(file, name -> named(added, name)));
    Files.writeString(config, "{\"added_tokens_decoder\": {\"2\": {\"content\": \"<s>\"}}}");
    assertThrows(
        UnsupportedException.class,
        () -> AddedTokens.requireNone(file, name -> named(config, name)));
  }

  private static Optional<Path> named(Path file, String name) {
    return file.endsWith(name) ? Optional.of(file) : Optional.empty();
  }
}
