package dev.moxie.format.json;

import dev.moxie.format.error.CorruptException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.cfg.CoercionAction;
import tools.jackson.databind.cfg.CoercionInputShape;
import tools.jackson.databind.cfg.EnumFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.databind.type.LogicalType;

/**
 * The JSON rules shared by every file that Moxie reads: duplicate keys, trailing tokens, fractional
 * integers, numbers written as strings, strings written as numbers and byte-order marks are errors;
 * nesting, number length and file size are bounded before anything is allocated for them.
 */
public final class StrictJson {
  /** No JSON file that belongs to a checkpoint or a package comes near this; in bytes. */
  public static final long MAX_FILE_BYTES = 128L << 20;

  private static final int MAX_NESTING = 64;
  private static final int MAX_NUMBER_LENGTH = 64;

  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(MAX_NESTING)
                  .maxNumberLength(MAX_NUMBER_LENGTH)
                  .maxStringLength((int) MAX_FILE_BYTES)
                  .maxNameLength(1 << 20)
                  .build())
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          // Large files name each tensor once: a table of names seen costs more than all the rest.
          .disable(JsonFactory.Feature.CANONICALIZE_PROPERTY_NAMES)
          .build();

  private static final byte[] BYTE_ORDER_MARK = {(byte) 0xef, (byte) 0xbb, (byte) 0xbf};

  private static final List<CoercionInputShape> NO_TEXT =
      List.of(CoercionInputShape.Integer, CoercionInputShape.Float, CoercionInputShape.Boolean);

  // A mapper remembers how to read each class: a new one for each file would learn it again.
  private static final JsonMapper STRICT = build(false);
  private static final JsonMapper LENIENT = build(true);

  private StrictJson() {}

  /** The token source that the rules above are set on. */
  public static JsonFactory factory() {
    return FACTORY;
  }

  /** A mapper under the rules above; unknown properties are errors unless {@code lenient}. */
  public static JsonMapper mapper(boolean lenient) {
    return lenient ? LENIENT : STRICT;
  }

  private static JsonMapper build(boolean lenient) {
    return JsonMapper.builder(FACTORY)
        .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, !lenient)
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
        .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
        .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
        .enable(EnumFeature.FAIL_ON_NUMBERS_FOR_ENUMS)
        .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
        .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
        .withCoercionConfig(
            LogicalType.Textual,
            text -> NO_TEXT.forEach(shape -> text.setCoercion(shape, CoercionAction.Fail)))
        .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
        .build();
  }

  /**
   * Reads a file of at most {@code maxBytes} bytes.
   *
   * @throws CorruptException if the file is larger
   */
  public static byte[] readBounded(Path file, long maxBytes) {
    requireRegular(file);
    try {
      long size = Files.size(file);
      if (size > maxBytes) {
        throw new CorruptException(
            file.toString(),
            "at most " + maxBytes + " bytes",
            size + " bytes",
            "this is not the file it claims to be, fetch it again");
      }
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Refuses what is no file to read to its end: a folder, a pipe, a device.
   *
   * @throws CorruptException unless the path leads to a regular file
   */
  public static void requireRegular(Path file) {
    if (Files.exists(file) && !Files.isRegularFile(file)) {
      throw new CorruptException(
          file.toString(), "a regular file", "a folder, pipe or device", "check the path");
    }
  }

  /**
   * Refuses bytes that are no UTF-8, or hold a NUL, which no JSON text does: a parser would take
   * them for UTF-16.
   *
   * @param offset of the first byte within the file, for the message
   */
  public static void requireUtf8(String where, byte[] json, long offset) {
    var decoder =
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
    ByteBuffer in = ByteBuffer.wrap(json);
    CharBuffer sink = CharBuffer.allocate(8192);
    CoderResult result;
    do {
      sink.clear();
      result = decoder.decode(in, sink, true);
    } while (result.isOverflow());
    int bad = result.isError() ? in.position() : 0;
    while (!result.isError() && bad < json.length && json[bad] != 0) {
      bad++;
    }
    if (bad < json.length) {
      throw new CorruptException(
          where + " (offset " + (offset + bad) + ")",
          "JSON in UTF-8",
          "byte 0x" + Integer.toHexString(json[bad] & 0xff),
          "the file is damaged or of another kind, fetch it again");
    }
  }

  /** RFC 8259 forbids a byte-order mark, and other readers of the same file refuse it. */
  private static void requireUtf8WithoutMark(String where, byte[] json) {
    int same = Arrays.mismatch(json, BYTE_ORDER_MARK);
    if (same < 0 || same >= BYTE_ORDER_MARK.length) {
      throw new CorruptException(
          where + " (offset 0)",
          "JSON in UTF-8",
          "a byte-order mark before it",
          "save the file without one");
    }
    requireUtf8(where, json, 0);
  }

  /**
   * Reads a file that holds one JSON object.
   *
   * @throws CorruptException if the file is no JSON object under the rules above
   */
  public static ObjectNode readObject(Path file) {
    return parseObject(file.toString(), readBounded(file, MAX_FILE_BYTES));
  }

  /**
   * Parses one JSON object.
   *
   * @param where the file that it came from, for messages
   * @throws CorruptException if the bytes are no JSON object under the rules above
   */
  public static ObjectNode parseObject(String where, byte[] bytes) {
    requireUtf8WithoutMark(where, bytes);
    try {
      JsonNode node = mapper(true).readTree(bytes);
      if (!(node instanceof ObjectNode object)) {
        throw new CorruptException(
            where,
            "a JSON object",
            bytes.length == 0 ? "an empty file" : JsonWords.of(node),
            "fetch the file again");
      }
      return object;
    } catch (JacksonException e) {
      throw corrupt(where, e);
    }
  }

  /** Whether an object has a key; that of a nested object stands after the object's and a dot. */
  public static boolean occurs(JsonNode object, String key) {
    if (object.has(key)) {
      return true;
    }
    // Keys may have dots of their own.
    for (int dot = key.indexOf('.'); dot >= 0; dot = key.indexOf('.', dot + 1)) {
      if (occurs(object.path(key.substring(0, dot)), key.substring(dot + 1))) {
        return true;
      }
    }
    return false;
  }

  /**
   * Reads the strings of one member of a JSON object, in order, passing over the other members:
   * what a tree would make of 92 000 tensors is never built.
   *
   * @param what each string is, for messages
   * @return nothing if there is no such member, or null in its place
   * @throws CorruptException if the file is no JSON object under the rules above, or the member no
   *     object of strings
   */
  public static Map<String, String> readStrings(Path file, String member, String what) {
    byte[] bytes = readBounded(file, MAX_FILE_BYTES);
    requireUtf8WithoutMark(file.toString(), bytes);
    Map<String, String> strings = new LinkedHashMap<>();
    try (JsonParser parser = FACTORY.createParser(ObjectReadContext.empty(), bytes)) {
      require(file.toString(), parser.nextToken(), JsonToken.START_OBJECT, "a JSON object");
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        boolean wanted = parser.currentName().equals(member);
        JsonToken value = parser.nextToken();
        if (wanted && value != JsonToken.VALUE_NULL) {
          require(file + ", " + member, value, JsonToken.START_OBJECT, "an object");
          while (parser.nextToken() != JsonToken.END_OBJECT) {
            String name = parser.currentName();
            JsonToken token = parser.nextToken();
            if (token != JsonToken.VALUE_STRING) {
              require(file + ", " + member + " " + name, token, JsonToken.VALUE_STRING, what);
            }
            strings.put(name, parser.getString());
          }
        } else {
          parser.skipChildren();
        }
      }
      if (parser.nextToken() != null) {
        throw new CorruptException(
            file.toString(), "one JSON object", "more after it", "fetch the file again");
      }
      return strings;
    } catch (JacksonException e) {
      throw corrupt(file.toString(), e);
    }
  }

  private static void require(
      String where, @Nullable JsonToken found, JsonToken expected, String what) {
    if (found != expected) {
      throw new CorruptException(where, what, JsonWords.of(found), "fetch the file again");
    }
  }

  /** Turns what Jackson says into the sentence a user reads. */
  public static CorruptException corrupt(String where, JacksonException e) {
    String path = e.getPathReference();
    int tail = path.lastIndexOf('[');
    String key = path.isEmpty() || tail < 0 ? "" : " at " + keyPath(path);
    var location = e.getLocation();
    String offset =
        location == null || location.getByteOffset() < 0
            ? ""
            : " (byte " + location.getByteOffset() + ")";
    return new CorruptException(
        where + key + offset,
        "valid JSON of the documented form",
        JsonWords.of(e),
        "the file is damaged or hand-edited, restore it");
  }

  private static String keyPath(String reference) {
    return reference
        .replaceAll("[\\w.$]+\\[\"([^\"]*)\"\\]", "$1")
        .replaceAll("[\\w.$]+\\[(\\d+)\\]", "[$1]")
        .replace("->", ".");
  }
}
