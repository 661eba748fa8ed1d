package dev.moxie.format.pickle;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Grok-1's pickles, and what others do with pickles: the opcodes of the attacks are those that
 * advisories on unpickling name (CVE-2019-6446, CVE-2022-45907; Trail of Bits, "Never a dill
 * moment", 2021; Python's own warning in {@code Doc/library/pickle.rst}).
 */
class PickleHeaderTest {
  private static final String FILE = "tensor00007_000";
  private static final byte[] PLAIN = PickleBytes.plain(true, 3, 5).toBytes();
  private static final byte[] QUANTISED =
      PickleBytes.quantised(true, new int[] {2, 4, 3}, new int[] {2, 2, 3}).toBytes();
  private static final Pattern PLACE = Pattern.compile("offset (\\d+), opcode ([A-Z][A-Z0-9_]*)");

  @TempDir Path folder;

  private PickleHeader read(byte[] bytes) throws IOException {
    return PickleHeader.read(Files.write(folder.resolve(FILE), bytes));
  }

  /** Sizes of files of the release, and what remains of them without arrays. */
  @ParameterizedTest
  @CsvSource({
    "131072 6144,                    3221225637, 165",
    "6144,                           24727,      151",
    "6144 8,                         196770,     162",
    "8 6144 32768/8 1 32768,         1611137347, 323",
    "8 32768 6144/8 8 6144,          1611399491, 323",
    "6144 1024/1 1024,               6293814,    310",
    "6144 6144/1 6144,               37761334,   310",
    "6144 6144/8 6144,               37847359,   319"
  })
  void filesOfTheReleaseAreAsLongAsThoseThatAreReadHere(String shapes, long bytes, int kept) {
    List<int[]> all =
        Stream.of(shapes.split("/"))
            .map(s -> Stream.of(s.split(" ")).mapToInt(Integer::parseInt).toArray())
            .toList();
    PickleBytes pickle =
        all.size() == 1
            ? PickleBytes.plain(false, all.getFirst())
            : PickleBytes.quantised(false, all.getFirst(), all.getLast());
    assertEquals(bytes, pickle.fileBytes());
    PickleHeader header = PickleHeader.parse("a", FILE, pickle.toBytes(), bytes);
    assertEquals(kept, header.bytes());
    assertArrayEquals(pickle.toBytes(), header.kept());
    assertEquals(
        all.stream().map(dims -> Shape.of(Arrays.stream(dims).asLongStream().toArray())).toList(),
        header.tensors().stream().map(TensorInfo::shape).toList());
    if (kept == 165) {
      // As others found it in the release (grok-ozempic, docs on its first quantisation).
      assertEquals(151, header.offset(header.tensors().getFirst()));
    }
  }

  @Test
  void arraysAreFoundWhereTheyLie() throws IOException {
    PickleHeader plain = read(PLAIN);
    assertEquals(
        List.of(new TensorInfo(FILE + ".weight", Dtype.F32, Shape.of(3, 5), 0, 60)),
        plain.tensors());
    PickleHeader two = read(QUANTISED);
    assertEquals(
        List.of(
            new TensorInfo(FILE + ".weight", Dtype.I8, Shape.of(2, 4, 3), 0, 24),
            new TensorInfo(FILE + ".scales", Dtype.BF16, Shape.of(2, 2, 3), 24, 48)),
        two.tensors());
    assertWhole(QUANTISED, two);
    assertWhole(PLAIN, plain);
  }

  /** Kept bytes and arrays together are the file, and kept bytes alone say the same. */
  private static void assertWhole(byte[] file, PickleHeader header) {
    var all = new ByteArrayOutputStream();
    int from = 0;
    for (TensorInfo tensor : header.tensors()) {
      int end = (int) header.before(tensor);
      all.write(header.kept(), from, end - from);
      assertEquals(all.size(), header.offset(tensor));
      all.write(file, all.size(), (int) tensor.bytes());
      from = end;
    }
    all.write(header.kept(), from, header.kept().length - from);
    assertArrayEquals(file, all.toByteArray());
    PickleHeader again = PickleHeader.parse("kept", FILE, header.kept(), file.length);
    assertEquals(header.tensors(), again.tensors());
    assertEquals(header.before(), again.before());
  }

  @Test
  void numpy2HasMovedAFunctionWhichIsTheSame() throws IOException {
    byte[] moved = new PickleBytes("numpy._core", true).array(PickleBytes.F4, 4, 7).end().toBytes();
    assertEquals(Shape.of(7), read(moved).tensors().getFirst().shape());
  }

  @Test
  void bytesOf64KibibytesAndMoreLieOutsideFrames() throws IOException {
    byte[] large = PickleBytes.plain(true, 64, 256).toBytes();
    assertWhole(large, read(large));
  }

  /** A safetensors file whose header is as long as the first bytes of a pickle say has none. */
  @Test
  void noFileIsTakenForOneOfTheOtherKind() {
    assertTrue(PickleHeader.isStart(PLAIN));
    assertTrue(PickleHeader.isStart(QUANTISED));
    byte[] header = SafetensorsHeader.layOut(Map.of(), List.of()).encode();
    assertFalse(PickleHeader.isStart(header));
    byte[] longest = {(byte) 0x80, 4, (byte) 0x95, 0, 0, 0, 0, 0};
    assertFalse(PickleHeader.isStart(longest));
  }

  static Stream<Arguments> attacks() {
    List<Arguments> attacks = new ArrayList<>();
    // Whole pickles that run something.
    attacks.add(attack("a call of a name", "GLOBAL", framed("cos\nsystem\n(S'id'\ntR.")));
    attacks.add(attack("a call of a named global", "STACK_GLOBAL", call("os", "system")));
    attacks.add(attack("builtins.eval", "STACK_GLOBAL", call("builtins", "eval")));
    attacks.add(attack("__builtin__.exec", "STACK_GLOBAL", call("__builtin__", "exec")));
    attacks.add(attack("subprocess.Popen", "STACK_GLOBAL", call("subprocess", "Popen")));
    attacks.add(attack("numpy's runstring", "STACK_GLOBAL", call("numpy.testing", "runstring")));
    attacks.add(attack("numpy.load", "STACK_GLOBAL", call("numpy", "load")));
    attacks.add(attack("a name with a dot", "STACK_GLOBAL", call("numpy", "ndarray.tofile")));
    attacks.add(attack("a name in another place", "STACK_GLOBAL", call("numpy ndarray", "")));
    attacks.add(attack("an instance", "INST", framed("(ios\nsystem\n.")));
    attacks.add(attack("an object", "OBJ", framed("(" + globalOf("numpy", "dtype") + "o.")));
    attacks.add(attack("a persistent id", "PERSID", framed("Pfile\n.")));
    attacks.add(attack("a binary persistent id", "BINPERSID", framed("NQ.")));
    attacks.add(attack("an extension", "EXT1", framed("\u0082\u0001.")));
    attacks.add(attack("a larger extension", "EXT2", framed("\u0083\u0001\u0000.")));
    attacks.add(attack("the largest", "EXT4", framed("\u0084\u0001\u0000\u0000\u0000.")));
    attacks.add(attack("NEWOBJ_EX", "NEWOBJ_EX", framed(")})\u0092.")));
    attacks.add(attack("a buffer outside", "NEXT_BUFFER", framed("\u0097.")));
    attacks.add(
        attack("NEWOBJ of an array", "NEWOBJ", framed(globalOf("numpy", "ndarray") + ")\u0081.")));
    attacks.add(
        attack("a call of ndarray", "REDUCE", framed(globalOf("numpy", "ndarray") + ")R.")));
    attacks.add(
        attack(
            "a call of a class",
            "REDUCE",
            framed(globalOf("__main__", "QuantizedWeight8bit") + ")R.")));
    attacks.add(attack("a state of a name", "BUILD", framed(globalOf("numpy", "dtype") + ")b.")));
    attacks.add(attack("a state of a number", "BUILD", framed("K\u0001)b.")));
    attacks.add(attack("a list", "EMPTY_LIST", framed("].")));
    attacks.add(attack("a long number", "LONG4", framed("\u008b\u00ff\u00ff\u00ff\u007f.")));
    attacks.add(attack("a number in digits", "INT", framed("I1\n.")));
    attacks.add(
        attack(
            "a long string",
            "BINUNICODE8",
            framed("\u008d\u00ff\u00ff\u00ff\u00ff\u0000\u0000\u0000\u0000.")));
    attacks.add(
        attack(
            "a byte array of any length",
            "BYTEARRAY8",
            framed("\u0096\u00ff\u00ff\u00ff\u00ff\u00ff\u0000\u0000\u0000.")));
    // Memory.
    attacks.add(attack("something never remembered", "BINGET", framed("h\u0000.")));
    attacks.add(attack("a bomb of the memo", "STOP", framed(bomb(200))));
    attacks.add(
        attack(
            "a memo that is put where it likes",
            "LONG_BINPUT",
            framed("Nr\u00ff\u00ff\u00ff\u007f.")));
    attacks.add(attack("tuples in tuples", "STOP", framed(")" + "\u0085".repeat(3000) + ".")));
    attacks.add(attack("more than a header", "TUPLE1", framed(")" + "\u0085".repeat(5000) + ".")));
    attacks.add(attack("DUP of a mark", "DUP", framed("(2.")));
    attacks.add(attack("an empty stack", "STOP", framed(".")));
    attacks.add(attack("a tuple of nothing", "TUPLE2", framed("N\u0086.")));
    attacks.add(attack("a tuple without a mark", "TUPLE", framed("NNt.")));
    attacks.add(attack("a tuple of a mark", "TUPLE1", framed("(\u0085.")));
    // Frames and protocols.
    attacks.add(attack("protocol 2", "PROTO", bytes("\u0080\u0002N.")));
    attacks.add(attack("protocol 5", "PROTO", bytes("\u0080\u0005N.")));
    attacks.add(attack("no protocol", "MARK", bytes("(lp0\n.")));
    attacks.add(attack("no frame", "NONE", bytes("\u0080\u0004N.")));
    attacks.add(
        attack(
            "a frame that ends in an opcode",
            "BININT",
            bytes("\u0080\u0004" + frame(3) + "NJ\u0001\u0001\u0001\u0001.")));
    attacks.add(
        attack("a frame beyond the file", "FRAME", bytes("\u0080\u0004" + frame(900) + "N.")));
    attacks.add(
        attack(
            "a frame of a negative length",
            "FRAME",
            bytes("\u0080\u0004\u0095\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff.")));
    attacks.add(attack("a frame of nothing", "FRAME", bytes("\u0080\u0004" + frame(0) + "N.")));
    attacks.add(
        attack(
            "a frame in a frame",
            "FRAME",
            bytes("\u0080\u0004" + frame(11) + "N" + frame(1) + "N.")));
    return attacks.stream();
  }

  private static Arguments attack(String name, String opcode, byte[] bytes) {
    return Arguments.of(name, opcode, bytes);
  }

  private static byte[] bytes(String latin) {
    return latin.getBytes(ISO_8859_1);
  }

  private static String frame(int length) {
    return "\u0095" + (char) (length & 255) + (char) (length >> 8) + "\0\0\0\0\0\0";
  }

  private static byte[] framed(String opcodes) {
    return bytes("\u0080\u0004" + frame(opcodes.length()) + opcodes);
  }

  private static String globalOf(String module, String name) {
    return text(module) + text(name) + "\u0093";
  }

  private static String text(String text) {
    return "\u008c" + (char) text.length() + text;
  }

  private static byte[] call(String module, String name) {
    return framed(globalOf(module, name) + text("id") + "\u0085R.");
  }

  /** Each tuple has the one before it twice: 2^200 values, if anybody walked into it. */
  private static String bomb(int depth) {
    var bomb = new StringBuilder(")\u0094");
    for (int i = 0; i < depth; i++) {
      bomb.append('h').append((char) i).append('h').append((char) i).append("\u0086\u0094");
    }
    return bomb + ".";
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("attacks")
  void attacksAreRefusedWithOpcodeAndOffset(String name, String opcode, byte[] bytes) {
    String message = refusal(bytes);
    Matcher place = PLACE.matcher(message);
    assertTrue(place.find(), message);
    assertEquals(opcode, place.group(2), message);
    int offset = Integer.parseInt(place.group(1));
    assertEquals(opcode, Opcode.name(bytes[offset] & 0xff), message);
  }

  @Test
  void aByteThatIsNoOpcodeIsWrittenAsSuch() {
    assertTrue(refusal(framed("\u00ff.")).contains("offset 11, opcode no opcode, byte 0xFF"));
  }

  private String refusal(byte[] bytes) {
    String message = assertThrows(InvalidInputException.class, () -> read(bytes)).getMessage();
    assertTrue(message.length() < 700, message);
    assertFalse(message.contains("\n"), message);
    return message;
  }

  /** A good file, and one place of it changed. */
  static Stream<Arguments> lies() {
    return Stream.of(
        lie("other axes", PLAIN, "K\u0003K\u0005\u0086", "K\u0003K\u0004\u0086", "BUILD"),
        lie("no axes", PLAIN, "K\u0003K\u0005\u0086", "K\u0003K\u0000\u0086", "BUILD"),
        lie("more bytes than there are", PLAIN, "\u0089C\u003c", "\u0089C\u00ff", "SHORT_BINBYTES"),
        lie("Fortran's order", PLAIN, "b\u0089C\u003c", "b\u0088C\u003c", "SHORT_BINBYTES"),
        lie("bytes the other way round", PLAIN, "\u008c\u0001<", "\u008c\u0001>", "BUILD"),
        lie("objects", PLAIN, "\u008c\u0002f4", "\u008c\u0002O8", "REDUCE"),
        lie("doubles", PLAIN, "\u008c\u0002f4", "\u008c\u0002f8", "REDUCE"),
        lie(
            "another class",
            QUANTISED,
            "QuantizedWeight8bit",
            "QuantizedWeight4bit",
            "STACK_GLOBAL"),
        lie("another module", QUANTISED, "__main__", "__init__", "STACK_GLOBAL"),
        lie("another attribute", QUANTISED, "weight", "weighs", "BUILD"),
        lie("scales of another type", QUANTISED, "ml_dtypes", "ml_dtypez", "STACK_GLOBAL"),
        lie("a plain array of int8", PLAIN, "\u008c\u0002f4", "\u008c\u0002i1", "BUILD"),
        lie("an older state", PLAIN, "(K\u0003\u008c\u0001<", "(K\u0002\u008c\u0001<", "BUILD"),
        lie("elements that are objects", PLAIN, "K\u0000t\u0094b", "K\u0001t\u0094b", "BUILD"),
        lie("fields", PLAIN, "NNN", "N)N", "BUILD"),
        lie(
            "another size",
            PLAIN,
            "J\u00ff\u00ff\u00ff\u00ffJ",
            "J\u00fe\u00ff\u00ff\u00ffJ",
            "BUILD"));
  }

  private static Arguments lie(String name, byte[] of, String part, String other, String opcode) {
    String good = new String(of, ISO_8859_1);
    assertEquals(2, good.split(Pattern.quote(part), -1).length, name);
    assertEquals(part.length(), other.length(), name);
    return Arguments.of(name, bytes(good.replace(part, other)), opcode);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("lies")
  void whatDoesNotFitIsRefused(String name, byte[] bytes, String opcode) {
    String message = refusal(bytes);
    Matcher place = PLACE.matcher(message);
    assertTrue(place.find() && opcode.equals(place.group(2)), message);
  }

  @Test
  void aFileThatIsCutShortAnywhereIsRefused() {
    for (byte[] good : List.of(PLAIN, QUANTISED)) {
      for (int end = 0; end < good.length; end++) {
        String message = refusal(Arrays.copyOf(good, end));
        assertTrue(message.contains("offset "), message);
      }
    }
  }

  @Test
  void whatFollowsThePickleIsRefused() {
    for (byte[] good : List.of(PLAIN, QUANTISED)) {
      String message = refusal(Arrays.copyOf(good, good.length + 1));
      assertTrue(message.contains("opcode STOP") && message.contains("1 bytes more"), message);
    }
  }

  /** The second array is the first, or has its bytes, which the memo still knows. */
  @Test
  void twoArraysOnOneMemoryAreRefused() {
    var same = new PickleBytes("numpy.core", true);
    same.object("__main__", "QuantizedWeight8bit");
    int array = same.key("weight").array(PickleBytes.I1, 1, 2, 2).memoize();
    same.key("scales").op('h', array).op('u').op('b').end();
    assertTrue(refusal(same.toBytes()).contains("opcode BUILD"));
    var memory = new PickleBytes("numpy.core", true);
    memory.object("__main__", "QuantizedWeight8bit");
    memory.key("weight").array(PickleBytes.I1, 1, 2, 2);
    memory.key("scales").arrayOfTheSameBytes(PickleBytes.BF16, 2, 1, 2).op('u').op('b').end();
    assertTrue(refusal(memory.toBytes()).contains("arrays that share some"));
  }

  /** Whatever changes, the file is refused in one sentence, or is one that says what is read. */
  @Test
  void twoThousandMutantsAreRefusedOrRead() throws IOException {
    var random = new Random(20240317);
    int read = 0;
    for (int i = 0; i < 2000; i++) {
      byte[] mutant = mutant(i % 2 == 0 ? PLAIN : QUANTISED, random);
      try {
        PickleHeader header = read(mutant);
        assertWhole(mutant, header);
        for (TensorInfo tensor : header.tensors()) {
          assertEquals(tensor.bytes(), tensor.shape().bytes(tensor.dtype()));
        }
        read++;
      } catch (InvalidInputException e) {
        assertTrue(e.getMessage().contains("offset "), e.getMessage());
      }
    }
    // Those of which only bytes of arrays, or what nobody needs, are others.
    assertTrue(read > 100 && read < 1000, read + " read");
  }

  /** Some bytes changed, left out, doubled, or put elsewhere. */
  private static byte[] mutant(byte[] good, Random random) {
    var bytes = new ArrayList<Byte>();
    for (byte b : good) {
      bytes.add(b);
    }
    for (int changes = 1 + random.nextInt(3); changes > 0; changes--) {
      int at = random.nextInt(bytes.size());
      switch (random.nextInt(5)) {
        case 0 -> bytes.set(at, (byte) random.nextInt(256));
        case 1 -> bytes.set(at, (byte) (bytes.get(at) ^ (1 << random.nextInt(8))));
        case 2 -> bytes.remove(at);
        case 3 -> bytes.add(at, bytes.get(random.nextInt(bytes.size())));
        default -> bytes.set(at, bytes.get(random.nextInt(bytes.size())));
      }
    }
    byte[] mutant = new byte[bytes.size()];
    for (int i = 0; i < mutant.length; i++) {
      mutant[i] = bytes.get(i);
    }
    return mutant;
  }
}
