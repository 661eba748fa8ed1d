package dev.moxie.format.tokenizer;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A {@code tokenizer.model} of SentencePiece (google/sentencepiece, {@code
 * src/sentencepiece_model.proto}): which pieces there are and how a text is made of them. Text is
 * taken as it is: tables that replace characters are refused.
 *
 * @param pieces by id
 * @param algorithm how a text is cut
 * @param byteFallback whether characters without a piece become bytes
 * @param spaceBehind whether words end with their space instead of beginning with it
 * @param dummySpace whether a text gets a space at its beginning, or at its end
 * @param singleSpaces whether spaces at the ends go, and one of several stays
 * @param marksSpaces whether spaces become {@link #SPACE}
 * @param beginning the piece that begins a text
 * @param unknownText what unknown pieces are decoded to
 */
public record SentencePieceFile(
    List<Piece> pieces,
    Algorithm algorithm,
    boolean byteFallback,
    boolean spaceBehind,
    boolean dummySpace,
    boolean singleSpaces,
    boolean marksSpaces,
    String beginning,
    String unknownText) {
  /** Its name in a checkpoint. */
  public static final String NAME = "tokenizer.model";

  /** What stands for a space inside pieces. */
  public static final char SPACE = '\u2581';

  /** No piece is longer, so that time is in proportion to the text. */
  private static final int MOST_CHARACTERS = 1024;

  /** What to do about a tokenizer that is not read here. */
  public static final String REMEDY =
      "make a tokenizer.json as docs/commands.md says, or do without text (convert"
          + " --token-ids-only, run --prompt-ids)";

  private static final int BYTES = 256;

  private static final long LARGEST = 64L << 20;

  /** How a text is cut. */
  public enum Algorithm {
    /** Into the pieces that are likeliest together. */
    UNIGRAM,
    /** By joining neighbours, the best piece first. */
    BPE
  }

  /** What a piece is for, in the order of its numbers in the file. */
  public enum Kind {
    NORMAL,
    /** Stands for all that is in no piece. */
    UNKNOWN,
    /** No part of a text. */
    CONTROL,
    /** Cut out of the text before all else. */
    USER_DEFINED,
    /** Known, and never chosen. */
    UNUSED,
    BYTE
  }

  /** A piece. */
  public record Piece(String text, float score, Kind kind) {}

  public SentencePieceFile {
    pieces = List.copyOf(pieces);
  }

  /**
   * Reads a file.
   *
   * @throws CorruptException if the file contradicts itself
   * @throws UnsupportedException if it asks for what this build does not do
   */
  public static SentencePieceFile read(Path file) {
    return new Parser(file.toString()).read(ByteBuffer.wrap(StrictJson.readBounded(file, LARGEST)));
  }

  /** The piece that stands for a byte. */
  public static String ofByte(int value) {
    return String.format(Locale.ROOT, "<0x%02X>", value & 0xff);
  }

  /** Reads the messages of a file. */
  private static final class Parser {
    private static final int PIECES = 1;
    private static final int TRAINER = 2;
    private static final int NORMALIZER = 3;
    private static final int SELF_TEST = 4;
    private static final int DENORMALIZER = 5;

    private final String file;
    private final List<Piece> pieces = new ArrayList<>();
    private boolean trained;
    private boolean normalized;
    private long model = 1;
    private boolean byteFallback;
    private boolean spaceBehind;
    private boolean dummySpace = true;
    private boolean singleSpaces = true;
    private boolean marksSpaces = true;
    private String beginning = "<s>";
    private String unknownText = " \u2047 ";

    Parser(String file) {
      this.file = file;
    }

    SentencePieceFile read(ByteBuffer data) {
      try {
        var fields = new WireReader(data, 0);
        while (fields.next()) {
          part(fields);
        }
      } catch (WireReader.Malformed e) {
        throw corrupt("byte " + e.offset(), e.expected(), e.found());
      }
      check();
      return new SentencePieceFile(
          pieces,
          algorithm(),
          byteFallback,
          spaceBehind,
          dummySpace,
          singleSpaces,
          marksSpaces,
          beginning,
          unknownText);
    }

    private void part(WireReader fields) throws WireReader.Malformed {
      switch (fields.field()) {
        case PIECES -> piece(fields.message());
        case TRAINER -> {
          requireFirst("trainer_spec", trained);
          trained = true;
          trainer(fields.message());
        }
        case NORMALIZER -> {
          requireFirst("normalizer_spec", normalized);
          normalized = true;
          normalizer(fields.message());
        }
        case SELF_TEST -> fields.skip();
        case DENORMALIZER -> requireNoTable("denormalizer_spec", fields.message());
        default ->
            throw unsupported(
                "byte " + fields.offset(), "fields 1 to 5 of a model", "field " + fields.field());
      }
    }

    private void requireFirst(String name, boolean seen) {
      if (seen) {
        throw corrupt(name, "one of it", "a second one");
      }
    }

    private void piece(WireReader fields) throws WireReader.Malformed {
      String place = "piece " + pieces.size();
      String text = null;
      float score = 0;
      Kind kind = Kind.NORMAL;
      while (fields.next()) {
        switch (fields.field()) {
          case 1 -> text = fields.text();
          case 2 -> score = fields.real();
          case 3 -> kind = kind(place, fields.number());
          default -> fields.skip();
        }
      }
      if (text == null || text.isEmpty()) {
        throw corrupt(place, "some text", "none");
      }
      if (text.length() > MOST_CHARACTERS) {
        throw unsupported(
            place, "at most " + MOST_CHARACTERS + " characters", text.length() + " of them");
      }
      if (!Float.isFinite(score)) {
        throw corrupt(place, "a finite score", Float.toString(score));
      }
      pieces.add(new Piece(text, score, kind));
    }

    private Kind kind(String place, long number) {
      Kind[] kinds = Kind.values();
      if (number < 1 || number > kinds.length) {
        throw corrupt(place, "a kind from 1 to " + kinds.length, Long.toUnsignedString(number));
      }
      return kinds[(int) number - 1];
    }

    private void trainer(WireReader fields) throws WireReader.Malformed {
      while (fields.next()) {
        switch (fields.field()) {
          case 3 -> model = fields.number();
          case 24 -> spaceBehind = fields.flag();
          case 35 -> byteFallback = fields.flag();
          case 44 -> unknownText = fields.text();
          case 46 -> beginning = fields.text();
          // How it was trained.
          default -> fields.skip();
        }
      }
    }

    private void normalizer(WireReader fields) throws WireReader.Malformed {
      while (fields.next()) {
        switch (fields.field()) {
          case 2 -> requireEmpty("normalizer_spec", fields.bytes());
          case 3 -> dummySpace = fields.flag();
          case 4 -> singleSpaces = fields.flag();
          case 5 -> marksSpaces = fields.flag();
          // The name of the rules, and what the table was made of.
          case 1, 6 -> fields.skip();
          default ->
              throw unsupported("normalizer_spec", "fields 1 to 6", "field " + fields.field());
        }
      }
    }

    private void requireNoTable(String name, WireReader fields) throws WireReader.Malformed {
      while (fields.next()) {
        if (fields.field() == 2) {
          requireEmpty(name, fields.bytes());
        } else {
          fields.skip();
        }
      }
    }

    private void requireEmpty(String name, ByteBuffer table) {
      if (table.hasRemaining()) {
        throw unsupported(
            name, "no table that replaces characters", "one of " + table.remaining() + " bytes");
      }
    }

    private Algorithm algorithm() {
      return switch (Math.clamp(model, 0, Integer.MAX_VALUE)) {
        case 1 -> Algorithm.UNIGRAM;
        case 2 -> Algorithm.BPE;
        default ->
            throw unsupported(
                "trainer_spec, model_type", "1 (unigram) or 2 (BPE)", Long.toUnsignedString(model));
      };
    }

    private void check() {
      Map<String, Piece> known = new HashMap<>();
      @Nullable Piece unknown = null;
      int bytes = 0;
      for (Piece piece : pieces) {
        if (known.put(piece.text(), piece) != null) {
          throw corrupt("piece \"" + piece.text() + "\"", "each piece once", "a second one");
        }
        if (piece.kind() == Kind.UNKNOWN) {
          requireFirst("unknown piece", unknown != null);
          unknown = piece;
        }
        bytes += piece.kind() == Kind.BYTE ? 1 : 0;
        if (piece.kind() == Kind.USER_DEFINED && algorithm() == Algorithm.UNIGRAM) {
          // How likely such are differs from version to version of SentencePiece.
          throw unsupported(
              "piece \"" + piece.text() + "\"",
              "none that users defined, in a unigram model",
              "one of them");
        }
      }
      if (unknown == null) {
        throw corrupt("pieces", "one for what is unknown", "none among " + pieces.size());
      }
      int expected = byteFallback ? BYTES : 0;
      if (bytes != expected) {
        throw corrupt("pieces", expected + " bytes, as trainer_spec says", bytes + " of them");
      }
      for (int b = 0; b < expected; b++) {
        Piece piece = known.get(ofByte(b));
        if (piece == null || piece.kind() != Kind.BYTE) {
          throw corrupt("pieces", "the byte " + ofByte(b), "none");
        }
      }
    }

    private CorruptException corrupt(String place, String expected, String found) {
      return new CorruptException(
          file + ", " + place,
          expected,
          found,
          "fetch the file again; if it is as released, report this");
    }

    private UnsupportedException unsupported(String place, String expected, String found) {
      return new UnsupportedException(file + ", " + place, expected, found, REMEDY);
    }
  }
}
