package dev.moxie.format.pack;

import dev.moxie.format.safetensors.SafetensorsHeader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/** Changes a package and makes its digests right again, as a careful liar would. */
final class Tampering {
  private static final int HEADER_LENGTH = SafetensorsHeader.LENGTH_BYTES;

  private Tampering() {}

  static void manifest(Path folder, UnaryOperator<String> edit) throws IOException {
    Path file = folder.resolve(PackagePaths.MANIFEST);
    String text = Files.readString(file);
    String body = edit.apply(text.substring(0, text.lastIndexOf("  \"sha256\"")));
    String digest = Digests.sha256(body.getBytes(StandardCharsets.UTF_8));
    Files.writeString(file, body + "  \"sha256\" : \"" + digest + "\"\n}\n");
  }

  /** Puts other words in place of some that occur once: anything else would hit more than meant. */
  static String replaced(String text, String from, String to) {
    int at = text.indexOf(from);
    if (at < 0 || text.indexOf(from, at + 1) >= 0) {
      throw new IllegalArgumentException("expected once: " + from);
    }
    return text.replace(from, to);
  }

  static void index(Path folder, UnaryOperator<List<IndexRow>> edit) throws IOException {
    file(
        folder,
        PackagePaths.INDEX,
        bytes ->
            ArrowIndex.encode(edit.apply(ArrowIndex.decode("index", Manifest.CURRENT, bytes))));
  }

  /** Gives the index other columns. */
  static void columns(Path folder, List<ArrowColumn<IndexRow>> columns) throws IOException {
    file(
        folder,
        PackagePaths.INDEX,
        bytes -> {
          var out = new ByteArrayOutputStream();
          try {
            var writer = new ArrowFileWriter<>(columns, out);
            writer.writeBatch(ArrowIndex.decode("index", Manifest.CURRENT, bytes));
            writer.finish();
          } catch (IOException e) {
            throw new AssertionError(e);
          }
          return out.toByteArray();
        });
  }

  /** Changes bytes of the index in their places. */
  static void indexBytes(Path folder, Consumer<ByteBuffer> edit) throws IOException {
    file(
        folder,
        PackagePaths.INDEX,
        bytes -> {
          byte[] after = bytes.clone();
          edit.accept(ByteBuffer.wrap(after).order(ByteOrder.LITTLE_ENDIAN));
          return after;
        });
  }

  /** Changes a file that is no shard. */
  static void file(Path folder, String path, UnaryOperator<byte[]> edit) throws IOException {
    Path file = folder.resolve(path);
    byte[] before = Files.readAllBytes(file);
    byte[] after = edit.apply(before);
    Files.write(file, after);
    manifest(
        folder,
        text ->
            text.replace(
                "\"bytes\" : %d,\n      \"sha256\" : \"%s\""
                    .formatted(before.length, Digests.sha256(before)),
                "\"bytes\" : %d,\n      \"sha256\" : \"%s\""
                    .formatted(after.length, Digests.sha256(after))));
  }

  /** Changes the header of a shard; its data may move, but stay the same. */
  static void header(Path folder, String shard, UnaryOperator<String> edit) throws IOException {
    Path file = folder.resolve(shard);
    byte[] before = Files.readAllBytes(file);
    int data =
        HEADER_LENGTH + (int) ByteBuffer.wrap(before).order(ByteOrder.LITTLE_ENDIAN).getLong();
    String json = new String(before, HEADER_LENGTH, data - HEADER_LENGTH, StandardCharsets.UTF_8);
    byte[] edited = edit.apply(json).getBytes(StandardCharsets.UTF_8);
    ByteBuffer after =
        ByteBuffer.allocate(HEADER_LENGTH + edited.length + before.length - data)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(edited.length)
            .put(edited)
            .put(before, data, before.length - data);
    Files.write(file, after.array());
    int moved = HEADER_LENGTH + edited.length - data;
    String entry = "\"bytes\" : %d,\n      \"headerBytes\" : %d,\n      \"headerSha256\" : \"%s\"";
    manifest(
        folder,
        text ->
            replaced(
                text,
                entry.formatted(before.length, data, Digests.sha256(Arrays.copyOf(before, data))),
                entry.formatted(
                    before.length + moved,
                    data + moved,
                    Digests.sha256(Arrays.copyOf(after.array(), data + moved)))));
    if (moved != 0) {
      index(
          folder,
          rows ->
              rows.stream()
                  .map(r -> r.shard().equals(shard) ? Rows.moved(r, r.offset() + moved) : r)
                  .toList());
    }
  }

  /** Where a field of a flatbuffer's table lies. */
  static int field(ByteBuffer bytes, int table, int field) {
    int vtable = table - bytes.getInt(table);
    return table + bytes.getShort(vtable + 4 + 2 * field);
  }

  /** Where an offset leads. */
  static int target(ByteBuffer bytes, int at) {
    return at + bytes.getInt(at);
  }
}
