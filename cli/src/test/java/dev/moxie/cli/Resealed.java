package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.moxie.format.pack.Digests;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;

/** Changes a package and makes its digests right again: what an earlier build may have written. */
final class Resealed {
  private Resealed() {}

  static void file(Path pack, String name, byte[] bytes) throws IOException {
    Files.write(pack.resolve(name), bytes);
    Path manifest = pack.resolve("moxie.json");
    String text = Files.readString(manifest);
    String entry =
        Pattern.quote("\"path\" : \"" + name + "\",")
            + "\\s+\"bytes\" : \\d+,\\s+\"sha256\" : \"\\w+\"";
    String listed =
        "\"path\" : \"%s\", \"bytes\" : %d, \"sha256\" : \"%s\""
            .formatted(name, bytes.length, Digests.sha256(bytes));
    String body = text.substring(0, text.lastIndexOf("  \"sha256\"")).replaceFirst(entry, listed);
    assertNotEquals(text, body);
    String digest = Digests.sha256(body.getBytes(StandardCharsets.UTF_8));
    Files.writeString(manifest, body + "  \"sha256\" : \"" + digest + "\"\n}\n");
  }
}
