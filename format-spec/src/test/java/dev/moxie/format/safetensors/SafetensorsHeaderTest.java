package dev.moxie.format.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.CorruptException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The invalid cases are those of the reference implementation's tests and attacks folder. */
class SafetensorsHeaderTest {
  @TempDir Path folder;

  static Stream<Arguments> lies() {
    return Stream.of(
        lie("an empty file", new byte[0], "header length"),
        lie("seven bytes", new byte[7], "header length"),
        lie("a length and no header", raw(0x3c, ""), "ends inside the file"),
        lie("a length beyond 100 MB", raw(0xffffff000000003cL, ""), "at most 100000000"),
        lie("a length with the top bit set", raw(Long.MIN_VALUE, "{}"), "at most 100000000"),
        lie("a header that is no UTF-8", raw(1, new byte[] {(byte) 0xff}), "UTF-8"),
        lie("a header cut after its brace", raw(1, "{"), "valid JSON"),
        lie("a byte order mark", file("\uFEFF{}"), "starts with '{'"),
        lie("UTF-16", raw(4, new byte[] {'{', 0, '}', 0}), "UTF-8"),
        lie("a header that is an array", file("[]"), "starts with '{'"),
        lie("two objects", file("{}{}"), "white space after"),
        lie("zero padding", file("{}\0\0"), ""),
        lie("ten tensors in one place", file(tensors(10, "[0, 16]"), 16), "where the tensor"),
        lie("a name that occurs twice", file(twice(), 4), "Duplicate"),
        lie("a field that occurs twice", file(fieldTwice(), 4), "Duplicate"),
        lie("a hole", file(two("[0, 4]", "[8, 12]"), 12), "start at 4"),
        lie("an overlap", file(two("[0, 4]", "[2, 6]"), 6), "start at 4"),
        lie("data that do not start at 0", file(one("I32", "[1]", "[4, 8]"), 8), "start at 0"),
        lie("bytes behind the data", file(one("I32", "[1]", "[0, 4]"), 30), "appended"),
        lie("two bytes missing", file(one("I32", "[2, 2]", "[0, 16]"), 14), "cut short"),
        lie("a shape larger than its data", file(one("I32", "[2, 2]", "[0, 4]"), 4), "16 bytes"),
        lie("an end before its begin", file(one("I32", "[1]", "[4, 0]"), 4), "data_offsets"),
        lie("u64 overflow", file(one("I32", "[2, 18446744073709551614]", "[0, 16]"), 16), "2^63"),
        lie("i64 overflow", file(one("I32", "[2, 9223372036854775807]", "[0, 16]"), 16), "2^63"),
        lie("half a byte", file(one("F4", "[1, 3]", "[0, 2]"), 2), "whole bytes"),
        lie("twice the bytes of F4", file(one("F4", "[1, 2]", "[0, 2]"), 2), "1 bytes"),
        lie("a negative extent", file(one("I32", "[-1]", "[0, 4]"), 4), "0 to 2^63"),
        lie("minus zero", file(one("I32", "[-0]", "[0, 0]")), "0 to 2^63"),
        lie("a fractional extent", file(one("I32", "[1.0]", "[0, 4]"), 4), "whole numbers"),
        lie("an extent as a string", file(one("I32", "[\"1\"]", "[0, 4]"), 4), "whole numbers"),
        lie("three offsets", file(one("I32", "[1]", "[0, 4, 4]"), 4), "two data_offsets"),
        lie("an unknown dtype", file(one("F128", "[1]", "[0, 16]"), 16), "dtype"),
        lie(
            "a tensor without dtype",
            file("{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}"),
            "dtype"),
        lie("a tensor that is a number", file("{\"a\":1}"), "an object"),
        lie("metadata that is a number", file("{\"__metadata__\":1}"), "an object"),
        lie("metadata of numbers", file("{\"__metadata__\":{\"a\":1}}"), "a string"),
        lie("endless nesting", file("{\"a\":" + "[".repeat(100_000)), ""));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("lies")
  void refuses(String name, byte[] bytes, String sentence) throws IOException {
    Path file = Files.write(folder.resolve("lie.safetensors"), bytes);
    String message =
        assertThrows(CorruptException.class, () -> SafetensorsFile.open(file)).getMessage();
    assertTrue(message.contains(sentence), message);
    assertTrue(message.contains("lie.safetensors") && message.lines().count() == 1, message);
  }

  @Test
  void refusesAHeaderAboveTheLimitWithoutReadingIt() throws IOException {
    Path file = folder.resolve("large.safetensors");
    try (var sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(1L << 40);
      sparse.write(raw(100_000_001, ""));
    }
    assertThrows(CorruptException.class, () -> SafetensorsFile.open(file));
  }

  @Test
  void refusesAHundredThousandOverlappingTensors() throws IOException {
    Path file =
        Files.write(folder.resolve("many.safetensors"), file(tensors(100_000, "[0, 16]"), 16));
    assertThrows(CorruptException.class, () -> SafetensorsFile.open(file));
  }

  @Test
  void refusesOverlappingTensorsInAHeaderOfAHundredMegabytes() throws IOException {
    // Ten million such entries exceed the header's limit; the file holds all the bytes it claims.
    Path file = folder.resolve("attack.safetensors");
    byte[] entry = one("I32", "[2, 2]", "[0, 16]").getBytes(StandardCharsets.UTF_8);
    try (var out = new RandomAccessFile(file.toFile(), "rw")) {
      out.write(raw(10_000_000L * entry.length, ""));
      out.setLength(8 + 10_000_000L * entry.length);
    }
    assertThrows(CorruptException.class, () -> SafetensorsFile.open(file));
  }

  static Stream<Arguments> truths() {
    return Stream.of(
        truth("nothing, padded", file("{}\r \t\n")),
        truth("nothing, padded in front", file("\t\n{}\r ")),
        truth("no metadata", file("{\"__metadata__\":null}")),
        truth("unknown members of a tensor", file(withUnknownMember(), 4)),
        truth("a scalar", file(one("I32", "[]", "[0, 4]"), 4)),
        truth("an empty tensor", file(one("I32", "[2, 0]", "[0, 0]"))),
        truth("zero before a huge extent", file(one("I32", "[0, 9223372036854775807]", "[0,0]"))),
        truth("F4", file(one("F4", "[1, 2]", "[0, 1]"), 1)));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("truths")
  void accepts(String name, byte[] bytes) throws IOException {
    Path file = Files.write(folder.resolve("truth.safetensors"), bytes);
    try (var opened = SafetensorsFile.open(file)) {
      assertEquals(bytes.length, opened.header().fileBytes());
    }
  }

  @Test
  void readsDataAtAnyOffsetOfAFileAboveTwoGibibytes() throws IOException {
    Path file = folder.resolve("large.safetensors");
    long gap = 3L << 30;
    String json =
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]},".formatted(gap, gap)
            + "\"b\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[%d,%d]}}"
                .formatted(gap, gap + 2);
    try (var out = new RandomAccessFile(file.toFile(), "rw")) {
      out.write(file(json));
      out.seek(8 + json.length() + gap);
      out.write(new byte[] {0x34, 0x12});
    }
    try (var opened = SafetensorsFile.open(file)) {
      short value = opened.data(opened.require("b")).get(ValueLayout.JAVA_SHORT_UNALIGNED, 0);
      assertEquals(0x1234, value);
    }
  }

  @Property
  void whatIsWrittenIsReadBack(@ForAll("tensorLists") List<SafetensorsWriter.Tensor> tensors)
      throws IOException {
    Path file = Files.createTempFile("moxie", ".safetensors");
    try {
      SafetensorsWriter.write(file, Map.of("format", "pt"), tensors);
      try (var opened = SafetensorsFile.open(file)) {
        assertEquals(tensors.size(), opened.header().tensors().size());
        assertEquals("pt", opened.header().metadata().get("format"));
        for (SafetensorsWriter.Tensor tensor : tensors) {
          TensorInfo info = opened.require(tensor.name());
          assertEquals(tensor.dtype(), info.dtype());
          assertEquals(tensor.shape(), info.shape());
          byte[] expected = new byte[tensor.data().remaining()];
          tensor.data().duplicate().get(expected);
          assertArrayEquals(expected, opened.data(info).toArray(ValueLayout.JAVA_BYTE));
        }
      }
    } finally {
      Files.delete(file);
    }
  }

  @Provide
  Arbitrary<List<SafetensorsWriter.Tensor>> tensorLists() {
    Arbitrary<Dtype> wholeBytes = Arbitraries.of(Dtype.values()).filter(d -> d.bits() % 8 == 0);
    Arbitrary<Shape> shapes = Arbitraries.longs().between(0, 5).list().ofMaxSize(3).map(Shape::new);
    return Combinators.combine(Arbitraries.strings().ofMaxLength(8), wholeBytes, shapes)
        .as(
            (name, dtype, shape) -> {
              byte[] data = new byte[(int) shape.bytes(dtype)];
              java.util.Arrays.fill(data, (byte) name.length());
              return new SafetensorsWriter.Tensor(name, dtype, shape, ByteBuffer.wrap(data));
            })
        .filter(tensor -> !tensor.name().equals("__metadata__"))
        .list()
        .uniqueElements(SafetensorsWriter.Tensor::name)
        .ofMaxSize(6);
  }

  @Property
  void randomBytesNeverDoAnythingButRefuse(@ForAll byte[] json) {
    try {
      SafetensorsHeader.parse("random", json, 8 + json.length);
    } catch (CorruptException expected) {
      assertTrue(expected.getMessage().startsWith("random"));
    }
  }

  private static Arguments lie(String name, byte[] bytes, String sentence) {
    return Arguments.of(name, bytes, sentence);
  }

  private static Arguments truth(String name, byte[] bytes) {
    return Arguments.of(name, bytes);
  }

  private static byte[] raw(long length, String json) {
    return raw(length, json.getBytes(StandardCharsets.UTF_8));
  }

  private static byte[] raw(long length, byte[] json) {
    return ByteBuffer.allocate(8 + json.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(length)
        .put(json)
        .array();
  }

  private static byte[] file(String json) {
    return file(json, 0);
  }

  private static byte[] file(String json, int dataBytes) {
    byte[] header = raw(json.getBytes(StandardCharsets.UTF_8).length, json);
    return java.util.Arrays.copyOf(header, header.length + dataBytes);
  }

  private static String entry(String name, String dtype, String shape, String offsets) {
    return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}"
        .formatted(name, dtype, shape, offsets);
  }

  private static String one(String dtype, String shape, String offsets) {
    return "{" + entry("a", dtype, shape, offsets) + "}";
  }

  private static String two(String first, String second) {
    return "{" + entry("a", "I32", "[1]", first) + "," + entry("b", "I32", "[1]", second) + "}";
  }

  private static String twice() {
    return "{" + entry("a", "I32", "[1]", "[0,4]") + "," + entry("a", "I32", "[1]", "[0,4]") + "}";
  }

  private static String fieldTwice() {
    return one("I32", "[1],\"shape\":[1]", "[0,4]");
  }

  private static String withUnknownMember() {
    return one("I32", "[1],\"strides\":{\"x\":[1,2]}", "[0,4]");
  }

  private static String tensors(int count, String offsets) {
    List<String> entries = new ArrayList<>();
    IntStream.range(0, count).forEach(i -> entries.add(entry("t" + i, "I32", "[2,2]", offsets)));
    return entries.stream().collect(Collectors.joining(",", "{", "}"));
  }
}
