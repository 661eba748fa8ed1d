package dev.moxie.cli;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Makes a right file a wrong one; the same generator state makes the same file. */
final class Mutation {
  /** What the bytes are, so that a mutant gets past the first rule that it could break. */
  enum Form {
    BINARY,
    JSON,
    /** One JSON object a line. */
    JSON_LINES,
    /** A length, JSON of that length, data. */
    SAFETENSORS
  }

  private static final Pattern TOKEN =
      Pattern.compile(
          "\"(?:[^\"\\\\]++|\\\\.)*+\"|-?\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?|true|false|null|[{}\\[\\],:]");

  private static final List<String> VALUES =
      List.of(
          "0",
          "-0",
          "-0.0",
          "1",
          "-1",
          "2",
          "3",
          "1.0",
          "0.5",
          "127",
          "65536",
          "2147483647",
          "2147483648",
          "4294967296",
          "9223372036854775807",
          "9223372036854775808",
          "-9223372036854775808",
          "1e308",
          "1e999",
          "-1e999",
          "1e-999",
          "1" + "0".repeat(60),
          "1".repeat(3000),
          "0." + "3".repeat(200),
          "NaN",
          "Infinity",
          "0x10",
          "true",
          "false",
          "null",
          "[]",
          "{}",
          "[1]",
          "[-1, 0]",
          "[9223372036854775807, 9223372036854775807]",
          "{\"a\": 1}",
          "[".repeat(60) + "]".repeat(60),
          "[".repeat(5000) + "]".repeat(5000),
          "{\"a\":".repeat(5000) + "1" + "}".repeat(5000),
          "\"\"",
          "\"0\"",
          "\"" + "x".repeat(300) + "\"",
          "\"" + "x".repeat(100_000) + "\"",
          "\"../../outside\"",
          "\"/dev/zero\"",
          "\"a/../b\"",
          "\".\"",
          "\"C:\\\\x\"",
          "\"\\ud800\"",
          "\"\\u0000\"",
          "\"\\u001b]0;x\\u0007\"",
          "\"\\n::error::x\"",
          "\"\\u202e\"",
          "\"\ufeff\"",
          "\"é\"");

  private static final List<byte[]> INSERTS =
      List.of(
          bytes(0xef, 0xbb, 0xbf),
          bytes(0xff, 0xfe),
          bytes(0),
          bytes(0xed, 0xa0, 0x80),
          bytes(0xc0, 0xaf),
          bytes(0x1b, '[', '2', 'J'),
          bytes(' '),
          bytes('\n'),
          bytes('"'),
          bytes('}'),
          bytes(','),
          bytes('/', '*', '*', '/'));

  private final RandomGenerator random;

  private Mutation(RandomGenerator random) {
    this.random = random;
  }

  /** Returns bytes that differ, but for a lucky few. */
  static byte[] of(byte[] original, Form form, RandomGenerator random) {
    var mutation = new Mutation(random);
    byte[] bytes = original;
    int changes = random.nextInt(4) == 0 ? 1 + random.nextInt(4) : 1;
    for (int i = 0; i < changes; i++) {
      bytes = random.nextInt(4) == 0 ? mutation.binary(bytes) : mutation.formed(bytes, form);
    }
    return bytes;
  }

  /** Command-line arguments with one replaced, doubled, dropped or added. */
  static List<String> of(List<String> arguments, List<String> pool, RandomGenerator random) {
    List<String> mutant = new ArrayList<>(arguments);
    int at = random.nextInt(mutant.size());
    String from = pool.get(random.nextInt(pool.size()));
    switch (random.nextInt(4)) {
      case 0 -> mutant.set(at, from);
      case 1 -> mutant.add(at, mutant.get(at));
      case 2 -> mutant.remove(at);
      default -> mutant.add(at + 1, from);
    }
    return mutant;
  }

  private byte[] formed(byte[] bytes, Form form) {
    return switch (form) {
      case BINARY -> binary(bytes);
      case JSON -> json(text(bytes)).getBytes(StandardCharsets.UTF_8);
      case JSON_LINES -> {
        List<String> lines = new ArrayList<>(text(bytes).lines().toList());
        if (lines.isEmpty()) {
          yield binary(bytes);
        }
        int line = random.nextInt(lines.size());
        lines.set(line, json(lines.get(line)));
        yield (String.join("\n", lines) + "\n").getBytes(StandardCharsets.UTF_8);
      }
      case SAFETENSORS -> safetensors(bytes);
    };
  }

  private byte[] safetensors(byte[] bytes) {
    if (bytes.length < 8) {
      return binary(bytes);
    }
    long length = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (length < 2 || length > bytes.length - 8 || random.nextInt(10) == 0) {
      byte[] lying = bytes.clone();
      ByteBuffer.wrap(lying).order(ByteOrder.LITTLE_ENDIAN).putLong(0, number(bytes.length));
      return lying;
    }
    int end = 8 + (int) length;
    byte[] header = json(text(Arrays.copyOfRange(bytes, 8, end))).getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(8 + header.length + bytes.length - end)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(header.length)
        .put(header)
        .put(bytes, end, bytes.length - end)
        .array();
  }

  private byte[] binary(byte[] bytes) {
    if (bytes.length == 0) {
      return INSERTS.get(random.nextInt(INSERTS.size())).clone();
    }
    int at = random.nextInt(bytes.length);
    int to = Math.min(bytes.length, at + 1 + random.nextInt(64));
    byte[] copy = bytes.clone();
    switch (random.nextInt(9)) {
      case 0 -> copy[at] ^= (byte) (1 << random.nextInt(8));
      case 1 -> copy[at] = (byte) random.nextInt();
      case 2 -> {
        int words = bytes.length / 4;
        if (words > 0) {
          ByteBuffer.wrap(copy)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putInt(4 * random.nextInt(words), (int) number(bytes.length));
        }
      }
      case 3 -> {
        if (bytes.length >= 8) {
          ByteBuffer.wrap(copy)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putLong(8 * random.nextInt(bytes.length / 8), number(bytes.length));
        }
      }
      case 4 -> copy = Arrays.copyOf(bytes, at);
      case 5 -> copy = splice(bytes, bytes.length, bytes.length, new byte[1 + random.nextInt(64)]);
      case 6 -> copy = splice(bytes, at, to, new byte[0]);
      case 7 -> copy = splice(bytes, at, at, Arrays.copyOfRange(bytes, at, to));
      default -> copy = splice(bytes, at, at, INSERTS.get(random.nextInt(INSERTS.size())));
    }
    return copy;
  }

  /** Numbers that lengths, counts and offsets should not be. */
  private long number(int size) {
    long[] numbers = {
      0,
      1,
      -1,
      2,
      3,
      4,
      7,
      8,
      16,
      size,
      size - 1,
      size + 1,
      size - 8,
      -size,
      1 << 20,
      Integer.MAX_VALUE,
      Integer.MIN_VALUE,
      1L << 32,
      Long.MAX_VALUE,
      Long.MIN_VALUE,
      100_000_000,
      100_000_001,
      random.nextInt(),
      random.nextLong(),
      random.nextInt(size + 1)
    };
    return numbers[random.nextInt(numbers.length)];
  }

  /** A member replaced, deleted, doubled, renamed or exchanged for another. */
  private String json(String text) {
    List<int[]> tokens = tokens(text);
    List<Integer> keys = new ArrayList<>();
    for (int i = 0; i + 2 < tokens.size(); i++) {
      if (is(text, tokens, i, '"') && is(text, tokens, i + 1, ':')) {
        keys.add(i);
      }
    }
    if (keys.isEmpty() || random.nextInt(12) == 0) {
      return anyToken(text, tokens);
    }
    int key = keys.get(random.nextInt(keys.size()));
    int start = tokens.get(key)[0];
    int value = tokens.get(key + 2)[0];
    int end = tokens.get(valueEnd(text, tokens, key + 2))[1];
    String member = text.substring(start, end);
    switch (random.nextInt(8)) {
      case 0 -> {
        boolean last = key > 0 && is(text, tokens, key - 1, ',');
        return text.substring(0, last ? tokens.get(key - 1)[0] : start) + text.substring(end);
      }
      case 1 -> {
        return text.substring(0, end) + ", " + member + text.substring(end);
      }
      case 2 -> {
        return text.substring(0, end)
            + ", "
            + text.substring(start, value)
            + any()
            + text.substring(end);
      }
      case 3 -> {
        int[] other = tokens.get(keys.get(random.nextInt(keys.size())));
        return text.substring(0, start)
            + text.substring(other[0], other[1])
            + text.substring(tokens.get(key)[1]);
      }
      case 4 -> {
        int from = keys.get(random.nextInt(keys.size())) + 2;
        String other =
            text.substring(tokens.get(from)[0], tokens.get(valueEnd(text, tokens, from))[1]);
        return text.substring(0, value) + other + text.substring(end);
      }
      case 5 -> {
        return anyToken(text, tokens);
      }
      default -> {
        return text.substring(0, value) + any() + text.substring(end);
      }
    }
  }

  private String anyToken(String text, List<int[]> tokens) {
    if (tokens.isEmpty()) {
      return text + any();
    }
    int[] token = tokens.get(random.nextInt(tokens.size()));
    String with = random.nextInt(4) == 0 ? "" : any();
    return text.substring(0, token[0]) + with + text.substring(token[1]);
  }

  private String any() {
    return VALUES.get(random.nextInt(VALUES.size()));
  }

  private static int valueEnd(String text, List<int[]> tokens, int start) {
    int depth = 0;
    for (int i = start; i < tokens.size(); i++) {
      if (is(text, tokens, i, '{') || is(text, tokens, i, '[')) {
        depth++;
      } else if (is(text, tokens, i, '}') || is(text, tokens, i, ']')) {
        depth--;
      }
      if (depth <= 0) {
        return i;
      }
    }
    return tokens.size() - 1;
  }

  private static boolean is(String text, List<int[]> tokens, int token, char first) {
    return text.charAt(tokens.get(token)[0]) == first;
  }

  private static List<int[]> tokens(String text) {
    List<int[]> tokens = new ArrayList<>();
    Matcher matcher = TOKEN.matcher(text);
    while (matcher.find()) {
      tokens.add(new int[] {matcher.start(), matcher.end()});
    }
    return tokens;
  }

  private static byte[] splice(byte[] bytes, int from, int to, byte[] with) {
    var out = new ByteArrayOutputStream();
    out.write(bytes, 0, from);
    out.writeBytes(with);
    out.write(bytes, to, bytes.length - to);
    return out.toByteArray();
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }
}
