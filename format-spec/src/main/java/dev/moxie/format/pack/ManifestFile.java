package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.TooNewException;
import dev.moxie.format.error.TooOldException;
import dev.moxie.format.json.JsonWords;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import tools.jackson.core.JacksonException;
import tools.jackson.core.util.DefaultIndenter;
import tools.jackson.core.util.DefaultPrettyPrinter;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

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
   * @throws TooNewException if its major version is above ours
   * @throws TooOldException if its major version is below ours
   * @throws CorruptException if it is anything but a whole, unaltered manifest
   */
  static Manifest read(Path file) {
    byte[] bytes = StrictJson.readBounded(file, MAX_BYTES);
    requireDigest(file, bytes);
    StrictJson.requireUtf8(file.toString(), bytes, 0);
    try {
      JsonNode tree = StrictJson.mapper(true).readTree(bytes);
      boolean newer = requireVersion(file, tree);
      ((ObjectNode) tree).remove("sha256");
      // A member of the architecture that we do not know could change the maths: never lenient.
      JsonMapper strict = StrictJson.mapper(false);
      if (tree.get("architecture") != null) {
        strict.treeToValue(tree.get("architecture"), Architecture.class);
      }
      return (newer ? StrictJson.mapper(true) : strict).treeToValue(tree, Manifest.class);
    } catch (JacksonException e) {
      throw StrictJson.corrupt(file.toString(), e);
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

  /** Returns whether the minor version is above ours, so that unknown members may be skipped. */
  private static boolean requireVersion(Path file, JsonNode tree) {
    JsonNode major = tree.path("version").path("major");
    JsonNode minor = tree.path("version").path("minor");
    if (!Manifest.FORMAT.equals(tree.path("format").asString(""))
        || !major.isInt()
        || !minor.isInt()) {
      throw new CorruptException(
          file.toString(),
          "format \"moxie\" and a version of two numbers",
          JsonWords.value(tree.path("format")) + " and " + JsonWords.value(tree.path("version")),
          "this is no Moxie package");
    }
    String expected = "format version " + Manifest.CURRENT.major() + ".x";
    String found = "version " + major.intValue() + "." + minor.intValue();
    if (major.intValue() > Manifest.CURRENT.major()) {
      throw new TooNewException(file.toString(), expected, found, "update Moxie");
    }
    if (major.intValue() < Manifest.CURRENT.major()) {
      throw new TooOldException(
          file.toString(), expected, found, "convert the checkpoint again with this build");
    }
    return minor.intValue() > Manifest.CURRENT.minor();
  }
}
