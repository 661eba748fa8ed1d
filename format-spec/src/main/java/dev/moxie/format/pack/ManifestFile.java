package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.error.TooOldException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.JsonWords;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.UnknownValueException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectReader;
import tools.jackson.databind.exc.InvalidTypeIdException;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.databind.node.StringNode;

/**
 * The bytes of {@code moxie.json}: the manifest as indented JSON, closed by a digest of itself.
 *
 * <pre>
 * File --&gt; Body, Tail
 * Tail --&gt; '  "sha256" : "', 64 lower-case hexadecimal digits of SHA-256(Body), '"', LF, '}', LF
 * </pre>
 */
final class ManifestFile {
  /** A manifest of DeepSeek-V3's 163 shards is below 100 kB. */
  static final long MAX_BYTES = 16 << 20;

  private static final String TAIL_START = "  \"sha256\" : \"";
  private static final String TAIL_END = "\"\n}\n";
  private static final int TAIL_BYTES = TAIL_START.length() + 64 + TAIL_END.length();

  private ManifestFile() {}

  static byte[] encode(Manifest manifest) {
    ManifestRules.check(PackagePaths.MANIFEST, manifest);
    var indenter = new DefaultIndenter("  ", "\n");
    var printer =
        new DefaultPrettyPrinter().withObjectIndenter(indenter).withArrayIndenter(indenter);
    String json = StrictJson.mapper(false).writer().with(printer).writeValueAsString(manifest);
    String body = json.substring(0, json.lastIndexOf("\n}")) + ",\n";
    String digest = Digests.sha256(body.getBytes(StandardCharsets.UTF_8));
    return (body + TAIL_START + digest + TAIL_END).getBytes(StandardCharsets.UTF_8);
  }

  /**
   * Reads and checks a manifest.
   *
   * @throws TooNewException if its major version is above ours, or its minor version, and it has
   *     something that we do not know and may not pass over
   * @throws TooOldException if its major version is below ours
   * @throws UnsupportedException if it has an encoding that is not implemented
   * @throws CorruptException if it is anything but a whole, unaltered manifest
   */
  static Manifest read(Path file) {
    String where = file.toString();
    byte[] bytes = StrictJson.readBounded(file, MAX_BYTES);
    requireDigest(file, bytes);
    StrictJson.requireUtf8(where, bytes, 0);
    requireBrace(where, bytes);
    JsonNode tree;
    try {
      tree = StrictJson.mapper(true).readTree(bytes);
    } catch (JacksonException e) {
      throw StrictJson.corrupt(where, e);
    }
    Manifest.Version version = requireVersion(where, tree);
    ((ObjectNode) tree).remove("sha256");
    Manifest manifest = parse(where, tree, version);
    ManifestRules.check(where, manifest);
    return manifest;
  }

  /** Some parts may lack members, which the mapper cannot tell from others; the echo does. */
  private static ObjectReader reader(boolean lenient) {
    return StrictJson.mapper(lenient)
        .reader()
        .without(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
        .without(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES);
  }

  private static Manifest parse(String where, JsonNode tree, Manifest.Version version) {
    ObjectReader strict = reader(false);
    try {
      // A member of the architecture that we do not know could change the maths: never lenient.
      if (tree.get("architecture") != null) {
        strict.treeToValue(tree.get("architecture"), Architecture.class);
      }
      ObjectReader reader = version.isLater() ? reader(true) : strict;
      Manifest manifest = reader.treeToValue(tree, Manifest.class);
      JsonNode echo = StrictJson.mapper(false).valueToTree(manifest);
      JsonEcho.require(where, tree, echo, version.isLater());
      return manifest;
    } catch (JacksonException e) {
      CorruptException corrupt = StrictJson.corrupt(where, e);
      if (version.isLater() && isUnknown(e)) {
        throw new TooNewException(
            where,
            "what format version " + Manifest.CURRENT + " has",
            "something of version " + version + " (" + corrupt.getMessage() + ")",
            "update Moxie");
      }
      throw corrupt;
    }
  }

  /** Whether something was met that we do not know, rather than something wrong or missing. */
  private static boolean isUnknown(JacksonException e) {
    return switch (e) {
      case UnrecognizedPropertyException member -> true;
      case InvalidTypeIdException type -> type.getTypeId() != null;
      case MismatchedInputException other ->
          isEnum(other.getTargetType()) && !JsonWords.isMissing(other);
      default -> e.getCause() instanceof UnknownValueException;
    };
  }

  private static boolean isEnum(@Nullable Class<?> type) {
    return type != null && type.isEnum();
  }

  private static void requireBrace(String where, byte[] bytes) {
    if (bytes[0] != '{') {
      throw new CorruptException(
          where + " (offset 0)",
          "'{'",
          "byte 0x" + Integer.toHexString(bytes[0] & 0xff),
          "the manifest is damaged or hand-edited, restore it or convert again");
    }
  }

  private static void requireDigest(Path file, byte[] bytes) {
    int body = bytes.length - TAIL_BYTES;
    if (body > 0) {
      String digest = Digests.sha256(Arrays.copyOf(bytes, body));
      byte[] tail = (TAIL_START + digest + TAIL_END).getBytes(StandardCharsets.UTF_8);
      if (Arrays.equals(tail, 0, TAIL_BYTES, bytes, body, bytes.length)) {
        return;
      }
    }
    throw new CorruptException(
        file.toString(),
        "a manifest that ends with its own SHA-256",
        bytes.length + " bytes that do not",
        "the manifest was cut short, altered or edited; restore it or convert again");
  }

  private static int versionPart(String where, JsonNode tree, String part) {
    JsonNode number = tree.path("version").path(part);
    if (!number.isInt() || number.intValue() < 0) {
      throw new CorruptException(
          where + ", version." + part,
          "a whole number from 0 to " + Integer.MAX_VALUE,
          JsonWords.value(number),
          "whatever wrote the manifest was at fault, or it is altered: restore it or convert"
              + " again");
    }
    return number.intValue();
  }

  private static Manifest.Version requireVersion(String where, JsonNode tree) {
    if (!tree.path("format").equals(StringNode.valueOf(Manifest.FORMAT))) {
      throw new CorruptException(
          where,
          "format \"" + Manifest.FORMAT + "\"",
          JsonWords.value(tree.path("format")),
          "this is no Moxie package");
    }
    var version =
        new Manifest.Version(versionPart(where, tree, "major"), versionPart(where, tree, "minor"));
    String expected = "format version " + Manifest.CURRENT.major() + ".x";
    String found = "version " + version;
    if (version.major() > Manifest.CURRENT.major()) {
      throw new TooNewException(where, expected, found, "update Moxie");
    }
    if (version.major() < Manifest.CURRENT.major()) {
      throw new TooOldException(
          where, expected, found, "convert the checkpoint again with this build");
    }
    return version;
  }
}
