package dev.moxie.cli;

import dev.moxie.format.pack.Digests;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Makes the digests of a changed package right again, as a careful liar would. */
final class Sealing {
  private static final String MANIFEST = "moxie.json";
  private static final String SEAL = "  \"sha256\" : \"";

  private Sealing() {}

  /** A manifest with its own digest under it, whatever was there. */
  static byte[] manifest(byte[] manifest) {
    String text = new String(manifest, StandardCharsets.ISO_8859_1);
    int end = text.lastIndexOf("\n" + SEAL) + 1;
    byte[] body = end == 0 ? manifest : Arrays.copyOf(manifest, end);
    byte[] tail = (SEAL + Digests.sha256(body) + "\"\n}\n").getBytes(StandardCharsets.UTF_8);
    byte[] whole = Arrays.copyOf(body, body.length + tail.length);
    System.arraycopy(tail, 0, whole, body.length, tail.length);
    return whole;
  }

  /** Edits the manifest of a package. */
  static void manifest(Path pack, UnaryOperator<String> edit) throws IOException {
    Path file = pack.resolve(MANIFEST);
    String edited = edit.apply(Files.readString(file));
    Files.write(file, manifest(edited.getBytes(StandardCharsets.UTF_8)));
  }

  /** Lets the manifest say what the index now is. */
  static byte[] index(Path pack, byte[] index) throws IOException {
    replace(
        pack,
        "(?<=\"path\" : \"tensors.arrow\",\\s{1,20}\"bytes\" : )\\d+(,\\s+\"sha256\" : \")\\w+",
        index.length + "$1" + Digests.sha256(index));
    return index;
  }

  /** Lets the manifest say what a shard and its header now are. */
  static byte[] shard(Path pack, String name, byte[] shard) throws IOException {
    long length =
        shard.length < 8 ? -1 : ByteBuffer.wrap(shard).order(ByteOrder.LITTLE_ENDIAN).getLong();
    boolean whole = length >= 0 && length <= shard.length - 8;
    byte[] header = whole ? Arrays.copyOf(shard, 8 + (int) length) : shard;
    replace(
        pack,
        "(?<=\"file\" : \""
            + Pattern.quote(name)
            + "\",\\s{1,20}\"bytes\" : )\\d+(,\\s+\"headerBytes\" : )\\d+(,\\s+\"headerSha256\" :"
            + " \")\\w+",
        shard.length + "$1" + header.length + "$2" + Digests.sha256(header));
    return shard;
  }

  private static void replace(Path pack, String pattern, String replacement) throws IOException {
    manifest(
        pack,
        text -> {
          Matcher matcher = Pattern.compile(pattern).matcher(text);
          if (!matcher.find()) {
            throw new IllegalStateException(pattern + " in " + text);
          }
          return matcher.replaceFirst(replacement);
        });
  }
}
