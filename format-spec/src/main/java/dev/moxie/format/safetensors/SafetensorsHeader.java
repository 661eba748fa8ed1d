package dev.moxie.format.safetensors;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.json.JsonWords;
import dev.moxie.format.json.StrictJson;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;

/**
 * The header of a safetensors file.
 *
 * <pre>
 * File   --&gt; N, Header, Data
 * N      --&gt; u64, little-endian: bytes of Header, at most 100 000 000
 * Header --&gt; one JSON object in UTF-8, padded with white space:
 *            {"__metadata__": {string: string}?, name: {"dtype", "shape", "data_offsets": [begin, end]}, …}
 * Data   --&gt; the tensors, little-endian, row-major, without gap or overlap, to the end of the file
 * </pre>
 *
 * The rules are those of {@code huggingface/safetensors} ({@code README.md} and {@code
 * safetensors/src/tensor.rs}), with one addition: a name that occurs twice is refused, which the
 * README asks for and the reference reader lets pass.
 *
 * @param bytes bytes before the data: 8 + N
 * @param metadata the {@code __metadata__} entries, in file order
 * @param tensors the tensors, in the order of their data
 */
public record SafetensorsHeader(long bytes, Map<String, String> metadata, List<TensorInfo> tensors)
    implements WeightHeader {
  /** Bytes of the length field. */
  public static final int LENGTH_BYTES = 8;

  /** The largest header that a reader accepts, in bytes. */
  public static final long MAX_JSON_BYTES = 100_000_000;

  private static final String METADATA = "__metadata__";
  private static final String FETCH_AGAIN = "the file is damaged or cut short, fetch it again";

  public SafetensorsHeader {
    metadata = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(metadata));
    tensors = List.copyOf(tensors);
  }

  @Override
  public long fileBytes() {
    return bytes + (tensors.isEmpty() ? 0 : tensors.getLast().end());
  }

  /**
   * Reads and checks the length field.
   *
   * @param where the file's name, for messages
   * @param start the first bytes of the file: 8, or fewer if the file is shorter
   * @param fileBytes size of the file
   * @return N, such that 8 + N fits the file
   * @throws CorruptException if the file cannot hold such a header
   */
  public static int jsonBytes(String where, ByteBuffer start, long fileBytes) {
    if (fileBytes < LENGTH_BYTES || start.remaining() < LENGTH_BYTES) {
      throw new CorruptException(
          where, "a header length of 8 bytes", fileBytes + " bytes in all", FETCH_AGAIN);
    }
    long n = start.order(ByteOrder.LITTLE_ENDIAN).getLong(start.position());
    if (Long.compareUnsigned(n, MAX_JSON_BYTES) > 0) {
      throw new CorruptException(
          where + " (offset 0)",
          "a header of at most " + MAX_JSON_BYTES + " bytes",
          Long.toUnsignedString(n),
          "this is no safetensors file (a Git LFS pointer, perhaps), fetch it again");
    }
    if (LENGTH_BYTES + n > fileBytes) {
      throw new CorruptException(
          where + " (offset 0)",
          "a header that ends inside the file of " + fileBytes + " bytes",
          "a header of " + n + " bytes",
          FETCH_AGAIN);
    }
    return (int) n;
  }

  /**
   * Parses and validates the JSON part of a header.
   *
   * @param where the file's name, for messages
   * @param json the N bytes after the length field
   * @param fileBytes size of the file
   * @throws CorruptException naming the first rule that is broken and the tensor that breaks it
   */
  public static SafetensorsHeader parse(String where, byte[] json, long fileBytes) {
    StrictJson.requireUtf8(where, json, LENGTH_BYTES);
    requireBrace(where, json);
    Map<String, String> metadata = new LinkedHashMap<>();
    List<TensorInfo> tensors = new ArrayList<>();
    try (JsonParser parser =
        StrictJson.factory().createParser(tools.jackson.core.ObjectReadContext.empty(), json)) {
      parser.nextToken();
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        String name = parser.currentName();
        parser.nextToken();
        if (name.equals(METADATA)) {
          readMetadata(where, parser, metadata);
        } else {
          tensors.add(readTensor(where, name, parser));
        }
      }
      if (parser.nextToken() != null) {
        throw new CorruptException(
            where, "nothing but white space after the header's object", "more JSON", FETCH_AGAIN);
      }
    } catch (JacksonException e) {
      throw StrictJson.corrupt(where + ", header", e);
    }
    tensors.sort(Comparator.comparingLong(TensorInfo::begin).thenComparingLong(TensorInfo::end));
    requireTiling(where, tensors);
    var header = new SafetensorsHeader(LENGTH_BYTES + json.length, metadata, tensors);
    if (header.fileBytes() != fileBytes) {
      throw new CorruptException(
          where,
          "a file of exactly " + header.fileBytes() + " bytes, as its header says",
          fileBytes + " bytes",
          fileBytes < header.fileBytes()
              ? "the file is cut short, fetch it again"
              : "something was appended to the file, fetch it again");
    }
    return header;
  }

  /**
   * Composes a header for tensors whose data follow each other in the given order.
   *
   * @param align 8 + N is padded with spaces to a multiple of this, at least 8
   */
  public static SafetensorsHeader compose(
      Map<String, String> metadata, List<TensorInfo> tensors, int align) {
    var unpadded = new SafetensorsHeader(0, metadata, tensors).json();
    long padded = Math.ceilDiv(LENGTH_BYTES + (long) unpadded.length, align) * align;
    if (padded - LENGTH_BYTES > MAX_JSON_BYTES) {
      throw new IllegalArgumentException("a header of " + padded + " bytes exceeds the format");
    }
    return new SafetensorsHeader(padded, metadata, tensors);
  }

  /**
   * The header of a file of these tensors, placed as the reference implementation places them:
   * widest dtype first, then by name.
   */
  public static SafetensorsHeader layOut(
      Map<String, String> metadata, List<TensorDeclaration> tensors) {
    List<TensorInfo> infos = new ArrayList<>();
    long begin = 0;
    for (TensorDeclaration tensor :
        tensors.stream()
            .sorted(
                Comparator.comparing(TensorDeclaration::dtype)
                    .reversed()
                    .thenComparing(TensorDeclaration::name))
            .toList()) {
      long end = begin + tensor.bytes();
      infos.add(new TensorInfo(tensor.name(), tensor.dtype(), tensor.shape(), begin, end));
      begin = end;
    }
    return compose(metadata, infos, LENGTH_BYTES);
  }

  /** The first {@link #bytes()} bytes of the file. */
  public byte[] encode() {
    byte[] json = json();
    byte[] encoded = new byte[Math.toIntExact(bytes)];
    java.util.Arrays.fill(encoded, (byte) ' ');
    ByteBuffer.wrap(encoded).order(ByteOrder.LITTLE_ENDIAN).putLong(bytes - LENGTH_BYTES).put(json);
    return encoded;
  }

  private byte[] json() {
    var out = new ByteArrayOutputStream();
    try (JsonGenerator json =
        StrictJson.factory().createGenerator(tools.jackson.core.ObjectWriteContext.empty(), out)) {
      json.writeStartObject();
      if (!metadata.isEmpty()) {
        json.writeName(METADATA);
        json.writeStartObject();
        metadata.forEach(json::writeStringProperty);
        json.writeEndObject();
      }
      for (TensorInfo tensor : tensors) {
        json.writeName(tensor.name());
        json.writeStartObject();
        json.writeStringProperty("dtype", tensor.dtype().name());
        json.writeName("shape");
        json.writeStartArray();
        tensor.shape().dims().forEach(d -> json.writeNumber((long) d));
        json.writeEndArray();
        json.writeName("data_offsets");
        json.writeStartArray();
        json.writeNumber(tensor.begin());
        json.writeNumber(tensor.end());
        json.writeEndArray();
        json.writeEndObject();
      }
      json.writeEndObject();
    }
    return out.toByteArray();
  }

  private static void requireBrace(String where, byte[] json) {
    int i = 0;
    while (i < json.length && (json[i] == ' ' || (json[i] >= '\t' && json[i] <= '\r'))) {
      i++;
    }
    if (i == json.length || json[i] != '{') {
      throw new CorruptException(
          where + " (offset " + (LENGTH_BYTES + i) + ")",
          "a header that starts with '{'",
          i == json.length ? "nothing" : "byte 0x" + Integer.toHexString(json[i] & 0xff),
          "this is no safetensors file, or its start is damaged");
    }
  }

  private static void readMetadata(String where, JsonParser parser, Map<String, String> into) {
    if (parser.currentToken() == JsonToken.VALUE_NULL) {
      return;
    }
    requireToken(where, METADATA, parser, JsonToken.START_OBJECT, "an object");
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String key = parser.currentName();
      parser.nextToken();
      requireToken(
          where, METADATA + " \"" + key + "\"", parser, JsonToken.VALUE_STRING, "a string");
      into.put(key, parser.getString());
    }
  }

  private static TensorInfo readTensor(String where, String name, JsonParser parser) {
    requireToken(where, name, "", parser, JsonToken.START_OBJECT, "an object");
    List<String> seen = new ArrayList<>();
    @Nullable Dtype dtype = null;
    @Nullable List<Long> shape = null;
    @Nullable List<Long> offsets = null;
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String key = parser.currentName();
      seen.add(key);
      parser.nextToken();
      switch (key) {
        case "dtype" -> {
          requireToken(where, name, " dtype", parser, JsonToken.VALUE_STRING, "a string");
          String text = parser.getString();
          dtype =
              Dtype.named(text)
                  .orElseThrow(
                      () ->
                          new CorruptException(
                              where + ", " + tensor(name),
                              "a dtype of the safetensors format",
                              "\"" + text + "\"",
                              "the file is newer than this build or damaged"));
        }
        case "shape" -> shape = readIntegers(where, name, " shape", parser);
        case "data_offsets" -> offsets = readIntegers(where, name, " data_offsets", parser);
        default -> parser.skipChildren();
      }
    }
    if (dtype == null || shape == null || offsets == null || offsets.size() != 2) {
      throw new CorruptException(
          where + ", " + tensor(name),
          "dtype, shape and two data_offsets",
          seen.toString(),
          FETCH_AGAIN);
    }
    var info = new TensorInfo(name, dtype, new Shape(shape), offsets.get(0), offsets.get(1));
    requireSize(where, info);
    return info;
  }

  private static List<Long> readIntegers(
      String where, String name, String part, JsonParser parser) {
    requireToken(where, name, part, parser, JsonToken.START_ARRAY, "an array");
    List<Long> values = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      requireToken(where, name, part, parser, JsonToken.VALUE_NUMBER_INT, "whole numbers");
      boolean fits = parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER;
      long value = fits ? parser.getLongValue() : -1;
      // "-0" is a zero to the parser.
      if (value < 0 || (value == 0 && parser.getString().startsWith("-"))) {
        throw new CorruptException(
            where + ", " + tensor(name) + part,
            "numbers from 0 to 2^63 - 1",
            parser.getString(),
            FETCH_AGAIN);
      }
      values.add(value);
    }
    return values;
  }

  private static void requireToken(
      String where, String name, String part, JsonParser parser, JsonToken token, String expected) {
    if (parser.currentToken() != token) {
      requireToken(where, tensor(name) + part, parser, token, expected);
    }
  }

  private static void requireToken(
      String where, String what, JsonParser parser, JsonToken token, String expected) {
    if (parser.currentToken() != token) {
      throw new CorruptException(
          where + ", " + what, expected, JsonWords.of(parser.currentToken()), FETCH_AGAIN);
    }
  }

  private static void requireSize(String where, TensorInfo info) {
    long expected;
    try {
      expected = info.shape().bytes(info.dtype());
    } catch (ArithmeticException e) {
      throw new CorruptException(
          where + ", " + tensor(info.name()),
          "a size in whole bytes below 2^63",
          info.dtype() + " " + info.shape(),
          FETCH_AGAIN);
    }
    if (info.end() < info.begin() || info.bytes() != expected) {
      throw new CorruptException(
          where + ", " + tensor(info.name()),
          expected + " bytes for " + info.dtype() + " " + info.shape(),
          "data_offsets [" + info.begin() + ", " + info.end() + "]",
          FETCH_AGAIN);
    }
  }

  private static void requireTiling(String where, List<TensorInfo> sorted) {
    long next = 0;
    for (TensorInfo info : sorted) {
      if (info.begin() != next) {
        throw new CorruptException(
            where + ", " + tensor(info.name()),
            "data that start at " + next + ", where the tensor before it ends",
            "data_offsets [" + info.begin() + ", " + info.end() + "]",
            FETCH_AGAIN);
      }
      next = info.end();
    }
  }

  private static String tensor(String name) {
    return "tensor \"" + (name.length() > 200 ? name.substring(0, 200) + "…" : name) + "\"";
  }
}
