package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.networknt.schema.InputFormat;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import dev.moxie.format.Some;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.error.TooOldException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class ManifestFileTest {
  @TempDir Path folder;
  private Path file;
  private byte[] bytes;

  @BeforeEach
  void writePackage() throws IOException {
    TinyPackage.write(folder.resolve("p"));
    file = folder.resolve("p/moxie.json");
    bytes = Files.readAllBytes(file);
  }

  @Test
  void theManifestKeepsItsSchema() throws IOException {
    var schema =
        SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12)
            .getSchema(Files.readString(Path.of("moxie.schema.json")), InputFormat.JSON);
    assertEquals(List.of(), schema.validate(Files.readString(file), InputFormat.JSON));
    TinyPackage.writeLatent(folder.resolve("latent"));
    String latent = Files.readString(folder.resolve("latent/moxie.json"));
    assertEquals(List.of(), schema.validate(latent, InputFormat.JSON));
    for (String word : List.of("sigmoid", "selection", "interleaved", "dense", "kept")) {
      String wrong = latent.replace("\"" + word + "\"", "\"another\"");
      assertFalse(schema.validate(wrong, InputFormat.JSON).isEmpty(), word);
    }
  }

  @Test
  void anyFlippedBitIsFound() throws IOException {
    for (int i : Some.of(8 * bytes.length).toArray()) {
      byte[] flipped = bytes.clone();
      flipped[i / 8] ^= (byte) (1 << i % 8);
      Files.write(file, flipped);
      assertThrows(CorruptException.class, () -> ManifestFile.read(file));
    }
  }

  @Test
  void aTruncatedManifestIsFoundWhereverItEnds() throws IOException {
    for (int length = 0; length < bytes.length; length += 7) {
      Files.write(file, Arrays.copyOf(bytes, length));
      assertThrows(CorruptException.class, () -> ManifestFile.read(file));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"-1", "2147483648", "99999999999999999999", "1.0", "\"1\"", "null"})
  void aVersionOutOfRangeIsSaidAndNotTakenForAnotherFormat(String number) throws IOException {
    for (String part : List.of("\"major\" : 1", "\"minor\" : 0")) {
      Files.write(file, bytes);
      rewrite(part, part.substring(0, part.length() - 1) + number);
      String message =
          assertThrows(CorruptException.class, () -> ManifestFile.read(file)).getMessage();
      assertTrue(message.contains("version." + part.substring(1, 6)), message);
      assertTrue(message.contains("from 0 to 2147483647, found " + number), message);
      assertFalse(message.contains("no Moxie package"), message);
    }
  }

  @Test
  void anOversizedManifestIsRefusedUnread() throws IOException {
    try (var sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(1L << 40);
    }
    assertThrows(CorruptException.class, () -> ManifestFile.read(file));
  }

  static Stream<Arguments> edits() {
    return Stream.of(
        edit("later major", "\"major\" : 1", "\"major\" : 2", TooNewException.class),
        edit("earlier major", "\"major\" : 1", "\"major\" : 0", TooOldException.class),
        edit("another format", "\"moxie\"", "\"moxia\"", CorruptException.class),
        edit("fractional version", "\"major\" : 1", "\"major\" : 1.5", CorruptException.class),
        edit("unknown score", "\"softmax\"", "\"argmax\"", CorruptException.class),
        edit("unknown attention", "\"grouped_query\"", "\"slimmed\"", CorruptException.class),
        edit("unknown member", "\"encodings\"", "\"x\" : 1, \"encodings\"", CorruptException.class),
        edit("missing member", "\"encodings\"", "\"codings\"", CorruptException.class),
        edit(
            "member twice",
            "\"scale\" : 1.0",
            "\"scale\" : 1.0, \"scale\" : 2.0",
            CorruptException.class),
        edit(
            "number as string",
            "\"vocabSize\" : 5",
            "\"vocabSize\" : \"5\"",
            CorruptException.class),
        edit("an enum by number", "\"F32\"", "17", CorruptException.class),
        edit("another compute dtype", "\"F32\"", "\"I8\"", CorruptException.class),
        edit("negative size", "\"vocabSize\" : 5", "\"vocabSize\" : -5", CorruptException.class),
        edit("fractional size", "\"vocabSize\" : 5", "\"vocabSize\" : 5.5", CorruptException.class),
        edit("huge size", "\"vocabSize\" : 5", "\"vocabSize\" : 1e400", CorruptException.class),
        edit("huge layer count", "\"count\" : 1", "\"count\" : 2000000000", CorruptException.class),
        edit(
            "more chosen than there are",
            "\"expertsPerToken\" : 2",
            "\"expertsPerToken\" : 4",
            CorruptException.class),
        edit(
            "a path that leaves",
            "\"backbone-00001",
            "\"../backbone-00001",
            CorruptException.class),
        edit(
            "an absolute path",
            "\"source/config.json\"",
            "\"/etc/passwd\"",
            CorruptException.class),
        edit(
            "null architecture",
            "\"architecture\" : {",
            "\"architecture\" : null, \"a\" : {",
            CorruptException.class));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("edits")
  void refuses(String name, String from, String to, Class<InvalidInputException> type)
      throws IOException {
    rewrite(from, to);
    String message = assertThrows(type, () -> ManifestFile.read(file)).getMessage();
    assertTrue(message.contains("moxie.json") && message.lines().count() == 1, message);
  }

  @Test
  void aLaterMinorVersionMayAddMembersButNotToTheArchitecture() throws IOException {
    rewrite("\"minor\" : 0", "\"minor\" : 1");
    bytes = Files.readAllBytes(file);
    rewrite("\"encodings\"", "\"colour\" : \"red\", \"encodings\"");
    assertEquals(TinyPackage.ARCHITECTURE, ManifestFile.read(file).architecture());
    Files.write(file, bytes);
    rewrite("\"expertsPerToken\"", "\"groups\" : 4, \"expertsPerToken\"");
    assertThrows(CorruptException.class, () -> ManifestFile.read(file));
  }

  static Stream<Arguments> editsOfALaterMinorVersion() {
    return Stream.of(
        edit("another word", "\"softmax\"", "\"argmax\"", TooNewException.class),
        edit("a word between blanks", "\"softmax\"", "\" softmax \"", TooNewException.class),
        edit("an object for a word", "\"softmax\"", "{\"top\" : 1}", TooNewException.class),
        edit("a number for a word", "\"softmax\"", "17", TooNewException.class),
        edit("no word for a word", "\"softmax\"", "null", CorruptException.class),
        edit("a missing word", "\"score\" : \"softmax\",", "", CorruptException.class),
        edit("text for null", "\"rank\" : null", "\"rank\" : \" \"", CorruptException.class),
        edit("another kind", "\"grouped_query\"", "\"slimmed\"", TooNewException.class),
        edit("no kind", "\"type\" : \"grouped_query\",", "", CorruptException.class),
        edit(
            "a word for a number",
            "\"vocabSize\" : 5",
            "\"vocabSize\" : \"5\"",
            CorruptException.class));
  }

  /** What we do not know is of that version; what is missing or no number is damage in any. */
  @ParameterizedTest(name = "{0}")
  @MethodSource("editsOfALaterMinorVersion")
  void refusesOfALaterMinorVersion(
      String name, String from, String to, Class<InvalidInputException> type) throws IOException {
    rewrite("\"minor\" : 0", "\"minor\" : 1");
    refuses(name, from, to, type);
  }

  private static Arguments edit(
      String name, String from, String to, Class<? extends InvalidInputException> type) {
    return Arguments.of(name, from, to, type);
  }

  /** Edits the manifest and gives it a right digest again. */
  private void rewrite(String from, String to) throws IOException {
    String text = Files.readString(file);
    assertTrue(text.contains(from), from);
    String body = text.substring(0, text.lastIndexOf("  \"sha256\"")).replace(from, to);
    String digest = Digests.sha256(body.getBytes(StandardCharsets.UTF_8));
    Files.writeString(file, body + "  \"sha256\" : \"" + digest + "\"\n}\n");
  }
}
