package dev.moxie.format.pack;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;

/** Changes a package and makes its digests right again, as a careful liar would. */
final class Tampering {
  private Tampering() {}

  static void manifest(Path folder, UnaryOperator<String> edit) throws IOException {
    Path file = folder.resolve(PackagePaths.MANIFEST);
    String text = Files.readString(file);
    String body = edit.apply(text.substring(0, text.lastIndexOf("  \"sha256\"")));
    String digest = Digests.sha256(body.getBytes(StandardCharsets.UTF_8));
    Files.writeString(file, body + "  \"sha256\" : \"" + digest + "\"\n}\n");
  }

  static void index(Path folder, UnaryOperator<List<IndexRow>> edit) throws IOException {
    Path file = folder.resolve(PackagePaths.INDEX);
    byte[] before = Files.readAllBytes(file);
    byte[] after = ArrowIndex.encode(edit.apply(ArrowIndex.decode("index", before)));
    Files.write(file, after);
    manifest(
        folder,
        text ->
            text.replace(Digests.sha256(before), Digests.sha256(after))
                .replace("\"bytes\" : " + before.length, "\"bytes\" : " + after.length));
  }
}
