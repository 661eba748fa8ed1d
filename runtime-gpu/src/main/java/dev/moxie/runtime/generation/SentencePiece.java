package dev.moxie.runtime.generation;

import dev.moxie.format.tokenizer.SentencePieceFile;
import dev.moxie.format.tokenizer.SentencePieceFile.Kind;
import dev.moxie.format.tokenizer.SentencePieceFile.Piece;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.PriorityQueue;

/**
 * Cuts a text into pieces and joins them again, as google/sentencepiece does it. Characters of
 * control pieces in a text are characters like any.
 */
final class SentencePiece {
  private static final String SPACE = String.valueOf(SentencePieceFile.SPACE);

  /** What an unknown character costs beside the unlikeliest piece. */
  private static final float UNKNOWN_PENALTY = 10;

  private final SentencePieceFile file;
  private final Map<String, Integer> ids = new HashMap<>();

  /** Those that a text may be cut into, by their text. */
  private final Map<String, Integer> choices = new HashMap<>();

  private final Prefixes known;
  private final Prefixes userDefined;
  private final int unknown;
  private final int longest;
  private final float leastScore;

  SentencePiece(SentencePieceFile file) {
    this.file = file;
    int none = -1;
    int length = 0;
    float least = Float.MAX_VALUE;
    List<String> cut = new ArrayList<>();
    for (int id = 0; id < file.pieces().size(); id++) {
      Piece piece = file.pieces().get(id);
      ids.put(piece.text(), id);
      switch (piece.kind()) {
        case UNKNOWN -> none = id;
        case NORMAL, UNUSED -> choices.put(piece.text(), id);
        case USER_DEFINED -> {
          choices.put(piece.text(), id);
          cut.add(piece.text());
        }
        case CONTROL, BYTE -> {}
      }
      if (piece.kind() == Kind.NORMAL) {
        least = Math.min(least, piece.score());
      }
      length = Math.max(length, piece.text().length());
    }
    unknown = none;
    longest = length;
    leastScore = least;
    known = new Prefixes(choices.keySet());
    userDefined = new Prefixes(cut);
  }

  /** The id of a piece, whatever it is for; −1 without it. */
  long id(String piece) {
    return ids.getOrDefault(piece, -1);
  }

  /** Tokens of a text. */
  long[] encode(String text) {
    String normal = normalized(wellFormed(text));
    List<Cut> cut =
        switch (file.algorithm()) {
          case UNIGRAM -> likeliest(normal);
          case BPE -> joined(normal);
        };
    List<Long> tokens = new ArrayList<>();
    boolean wasUnknown = false;
    for (Cut piece : cut) {
      int id = piece.id();
      if (id == unknown && file.byteFallback()) {
        for (byte b : piece.text().getBytes(StandardCharsets.UTF_8)) {
          tokens.add(id(SentencePieceFile.ofByte(b)));
        }
      } else if (id != unknown || !wasUnknown) {
        // What is unknown one after the other is one piece.
        tokens.add((long) id);
      }
      wasUnknown = id == unknown;
    }
    return tokens.stream().mapToLong(Long::longValue).toArray();
  }

  /** A character that is none becomes the one that stands for such. */
  private static String wellFormed(String text) {
    StringBuilder valid = new StringBuilder(text.length());
    text.codePoints().forEach(c -> valid.appendCodePoint(c >= 0xD800 && c <= 0xDFFF ? 0xFFFD : c));
    return valid.toString();
  }

  private String normalized(String text) {
    StringBuilder normal = new StringBuilder();
    int at = 0;
    while (file.singleSpaces() && at < text.length() && part(text, at).equals(" ")) {
      at++;
    }
    if (at == text.length()) {
      return "";
    }
    String space = file.marksSpaces() ? SPACE : " ";
    if (file.dummySpace() && !file.spaceBehind()) {
      normal.append(space);
    }
    boolean afterSpace = file.singleSpaces();
    while (at < text.length()) {
      String part = part(text, at);
      at += part.length();
      int from = 0;
      while (afterSpace && from < part.length() && part.charAt(from) == ' ') {
        from++;
      }
      if (from < part.length()) {
        String rest = part.substring(from);
        normal.append(rest.replace(" ", space));
        afterSpace = rest.endsWith(" ");
      }
      afterSpace &= file.singleSpaces();
    }
    int end = normal.length();
    while (file.singleSpaces() && end > 0 && normal.charAt(end - 1) == space.charAt(0)) {
      end--;
    }
    normal.setLength(end);
    if (file.dummySpace() && file.spaceBehind()) {
      normal.append(space);
    }
    return normal.toString();
  }

  /** What is cut off a text at once: a piece that users defined, or a character. */
  private String part(String text, int at) {
    int length = userDefined.longest(text, at);
    return text.substring(at, at + (length > 0 ? length : character(text, at)));
  }

  private static int character(String text, int at) {
    return Character.charCount(text.codePointAt(at));
  }

  /** A part of a text, and its token. */
  private record Cut(String text, int id) {}

  /** The best ways to cut a text up to each of its characters. */
  private static final class Paths {
    private final float[] score;

    /** Where the last piece begins; −1 without a way. */
    private final int[] from;

    private final int[] id;

    Paths(int size) {
      score = new float[size + 1];
      from = new int[size + 1];
      id = new int[size + 1];
      Arrays.fill(from, 1, from.length, -1);
    }

    void offer(int start, int length, int piece, float ofPiece) {
      float sum = ofPiece + score[start];
      int end = start + length;
      if (from[end] < 0 || sum > score[end]) {
        score[end] = sum;
        from[end] = start;
        id[end] = piece;
      }
    }
  }

  /** The pieces whose scores have the largest sum. */
  private List<Cut> likeliest(String text) {
    int size = text.length();
    var paths = new Paths(size);
    for (int at = 0; at < size; ) {
      int start = at;
      int one = character(text, at);
      boolean[] single = {false};
      known.each(
          text,
          at,
          word -> {
            int id = Objects.requireNonNull(choices.get(word));
            Piece piece = file.pieces().get(id);
            if (piece.kind() != Kind.UNUSED) {
              paths.offer(start, word.length(), id, piece.score());
              single[0] |= word.length() == one;
            }
          });
      if (!single[0]) {
        paths.offer(start, one, unknown, leastScore - UNKNOWN_PENALTY);
      }
      at += one;
    }
    List<Cut> pieces = new ArrayList<>();
    for (int end = size; end > 0; end = paths.from[end]) {
      pieces.add(new Cut(text.substring(paths.from[end], end), paths.id[end]));
    }
    return pieces.reversed();
  }

  /** A part of a text that is joined with its neighbours. */
  private static final class Symbol {
    private final int start;
    private int end;
    private int before;
    private int after;
    private final boolean frozen;

    Symbol(int start, int end, int before, int after, boolean frozen) {
      this.start = start;
      this.end = end;
      this.before = before;
      this.after = after;
      this.frozen = frozen;
    }

    int length() {
      return end - start;
    }
  }

  /**
   * Two neighbours that are a piece together.
   *
   * @param length of both, by which it shows whether they are still as they were
   */
  private record Pair(int left, int right, int length, float score) implements Comparable<Pair> {
    @Override
    public int compareTo(Pair other) {
      int byScore = Float.compare(other.score, score);
      return byScore != 0 ? byScore : Integer.compare(left, other.left);
    }
  }

  /** The pieces that are left once no neighbours can be joined. */
  private List<Cut> joined(String text) {
    List<Symbol> symbols = new ArrayList<>();
    for (int at = 0; at < text.length(); ) {
      int length = userDefined.longest(text, at);
      int end = at + (length > 0 ? length : character(text, at));
      int number = symbols.size();
      int after = end < text.length() ? number + 1 : -1;
      symbols.add(new Symbol(at, end, number - 1, after, length > 0));
      at = end;
    }
    var pairs = new PriorityQueue<Pair>();
    Map<String, Integer> unused = new HashMap<>();
    for (int i = 1; i < symbols.size(); i++) {
      offer(text, symbols, i - 1, i, pairs, unused);
    }
    while (!pairs.isEmpty()) {
      Pair pair = pairs.remove();
      Symbol left = symbols.get(pair.left());
      Symbol right = symbols.get(pair.right());
      if (left.length() == 0
          || right.length() == 0
          || left.length() + right.length() != pair.length()) {
        continue;
      }
      left.end = right.end;
      right.end = right.start;
      left.after = right.after;
      if (left.after >= 0) {
        symbols.get(left.after).before = pair.left();
      }
      offer(text, symbols, left.before, pair.left(), pairs, unused);
      offer(text, symbols, pair.left(), left.after, pairs, unused);
    }
    List<Cut> pieces = new ArrayList<>();
    for (int i = 0; i >= 0 && i < symbols.size(); i = symbols.get(i).after) {
      Symbol symbol = symbols.get(i);
      parts(text.substring(symbol.start, symbol.end), unused, pieces);
    }
    return pieces;
  }

  private void offer(
      String text,
      List<Symbol> symbols,
      int left,
      int right,
      PriorityQueue<Pair> pairs,
      Map<String, Integer> unused) {
    if (left < 0 || right < 0 || symbols.get(left).frozen || symbols.get(right).frozen) {
      return;
    }
    Symbol first = symbols.get(left);
    int length = first.length() + symbols.get(right).length();
    if (length > longest) {
      return;
    }
    String piece = text.substring(first.start, first.start + length);
    Integer id = choices.get(piece);
    if (id != null) {
      pairs.add(new Pair(left, right, length, file.pieces().get(id).score()));
      if (file.pieces().get(id).kind() == Kind.UNUSED) {
        unused.put(piece, first.length());
      }
    }
  }

  /**
   * A piece, or what it was joined of where it is never chosen.
   *
   * @param unused by piece, where its second part begins
   */
  private void parts(String piece, Map<String, Integer> unused, List<Cut> pieces) {
    Integer id = ids.get(piece);
    Integer cut = unused.get(piece);
    if (id == null || file.pieces().get(id).kind() != Kind.UNUSED || cut == null) {
      pieces.add(new Cut(piece, id == null ? unknown : id));
      return;
    }
    parts(piece.substring(0, cut), unused, pieces);
    parts(piece.substring(cut), unused, pieces);
  }

  /** Text of tokens, control pieces left out. */
  String decode(long[] tokens) {
    StringBuilder text = new StringBuilder();
    boolean begun = false;
    List<Byte> bytes = new ArrayList<>();
    for (long token : tokens) {
      if (token < 0 || token >= file.pieces().size()) {
        continue;
      }
      Piece piece = file.pieces().get((int) token);
      if (piece.kind() == Kind.BYTE) {
        bytes.add((byte) Integer.parseInt(piece.text(), 3, 5, 16));
        continue;
      }
      flush(bytes, text);
      begun |= !text.isEmpty();
      switch (piece.kind()) {
        case CONTROL -> {}
        case UNKNOWN -> text.append(file.unknownText());
        default -> begun |= append(piece.text(), begun, text);
      }
    }
    flush(bytes, text);
    return text.toString();
  }

  /** Whether the space went that every text was given. */
  private boolean append(String piece, boolean begun, StringBuilder text) {
    boolean leads = !begun && (file.dummySpace() || file.singleSpaces()) && piece.startsWith(SPACE);
    text.append((leads ? piece.substring(1) : piece).replace(SPACE, " "));
    return leads && !file.singleSpaces();
  }

  private static void flush(List<Byte> bytes, StringBuilder text) {
    byte[] all = new byte[bytes.size()];
    for (int i = 0; i < all.length; i++) {
      all[i] = bytes.get(i);
    }
    bytes.clear();
    text.append(Utf8.decoded(all));
  }
}
