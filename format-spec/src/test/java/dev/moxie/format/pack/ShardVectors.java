package dev.moxie.format.pack;

import dev.moxie.format.model.Role;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32C;

/** Packages whose bytes are not what manifest and index say: SPEC.md, section 3, W1 to W6. */
final class ShardVectors {
  private ShardVectors() {}

  static void write(ConformanceVectors v) throws IOException {
    v.broken("shard-cut", "W1", "a shard is two bytes shorter", "bytes")
        .at("read")
        .by(p -> edit(p, bytes -> Arrays.copyOf(bytes, bytes.length - 2)));
    v.broken("shard-header-altered", "W2", "a space of a shard's header is a tabulator", "header")
        .at("read")
        .by(p -> edit(p, bytes -> with(bytes, 4000, (byte) '\t')));
    v.broken(
            "shard-header-of-other-names",
            "W3",
            "a shard calls a stack otherwise than the index",
            "experts.down.weight")
        .at("read")
        .by(
            p ->
                Tampering.header(
                    p,
                    ManifestVectors.EXPERTS,
                    json ->
                        Tampering.replaced(json, "experts.down.weight", "experts.town.weight")));
    v.broken(
            "shard-header-with-another-tensor",
            "W3",
            "a shard has an empty tensor that the index has not",
            "tensors")
        .at("read")
        .by(
            p ->
                Tampering.header(
                    p,
                    ManifestVectors.EXPERTS,
                    json -> {
                      String more =
                          "{\"x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},";
                      return more + json.substring(1, json.length() - more.length() + 1);
                    }));
    v.broken("slice-altered", "W4", "a leaf has another sha256 than its bytes", "SHA-256")
        .at("digest")
        .byIndex(
            rows ->
                Rows.changed(
                    rows,
                    r -> r.kind() == IndexRow.Kind.SLICE,
                    r -> Rows.digested(r, r.crc32c(), Digests.sha256(new byte[0]))));
    v.broken("crc-wrong", "W4", "a leaf has another crc32c than its bytes", "CRC-32C")
        .at("digest")
        .byIndex(rows -> Rows.changed(rows, r -> true, r -> Rows.digested(r, 1L, r.sha256())));
    v.broken("filler-not-zero", "W5", "a filler has a byte that is not zero", "zero")
        .at("read")
        .in(ShardVectors::filled)
        .by(ShardVectors::fill);
    v.broken("source-file-altered", "W6", "a file of the checkpoint was changed", "SHA-256")
        .at("read")
        .by(p -> Files.writeString(p.resolve("source/config.json"), "[]\n"));
  }

  static void filled(Path folder) {
    TinyPackage.write(folder, TinyPackage.architecture(3, 5, 7), false);
  }

  /** Puts a byte into the filler, and its digests into the index. */
  private static void fill(Path folder) throws IOException {
    Path file = folder.resolve(ManifestVectors.EXPERTS);
    byte[] bytes = Files.readAllBytes(file);
    Tampering.index(
        folder,
        rows ->
            Rows.changed(
                rows,
                r -> r.role() == Role.PADDING,
                r -> {
                  bytes[(int) (r.offset() + r.bytes() - 1)] = 1;
                  byte[] own =
                      Arrays.copyOfRange(bytes, (int) r.offset(), (int) (r.offset() + r.bytes()));
                  var crc = new CRC32C();
                  crc.update(own);
                  return Rows.digested(r, crc.getValue(), Digests.sha256(own));
                }));
    Files.write(file, bytes);
  }

  private interface Edit {
    byte[] of(byte[] bytes);
  }

  private static void edit(Path folder, Edit edit) throws IOException {
    Path file = folder.resolve(ManifestVectors.EXPERTS);
    Files.write(file, edit.of(Files.readAllBytes(file)));
  }

  private static byte[] with(byte[] bytes, int at, byte value) {
    bytes[at] = value;
    return bytes;
  }
}
