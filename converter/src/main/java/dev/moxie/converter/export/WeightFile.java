package dev.moxie.converter.export;

import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorDeclaration;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A weight file to write: its header, and where in the package each tensor's bytes lie.
 *
 * @param header the bytes before the data
 * @param leaves in the order of the data
 * @param asItWas whether header and data are byte for byte those of the checkpoint's file
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record WeightFile(String name, byte[] header, List<IndexRow> leaves, boolean asItWas) {

  /** Bytes of the file. */
  long bytes() {
    return header.length + leaves.stream().mapToLong(IndexRow::bytes).sum();
  }

  /** Whether it is what lies at this path. */
  boolean isAt(Path path) throws IOException {
    List<Digests.Extent> extents = new ArrayList<>();
    long offset = header.length;
    for (IndexRow leaf : leaves) {
      extents.add(new Digests.Extent(offset, leaf.bytes()));
      offset += leaf.bytes();
    }
    List<String> expected =
        leaves.stream().map(leaf -> Objects.requireNonNull(leaf.sha256())).toList();
    return Digests.ofFile(path, header, offset, extents).stream()
        .anyMatch(found -> found.stream().map(Digests.Result::sha256).toList().equals(expected));
  }

  /**
   * Plans a file. If every tensor is in the package unchanged, the checkpoint's own header serves;
   * else one is composed for those that are there.
   *
   * @param rows the package's leaves that come from this file, by source tensor
   */
  static WeightFile of(MoxiePackage pack, Manifest.SourceShard shard, Map<String, IndexRow> rows) {
    byte[] original = pack.sourceBytes(shard.file() + ".header").orElseThrow();
    SafetensorsHeader header = pack.sourceHeader(shard);
    List<IndexRow> inPlace = new ArrayList<>();
    for (TensorInfo info : header.tensors()) {
      IndexRow row = rows.get(info.name());
      if (row != null
          && IndexRow.COPY.equals(row.transform())
          && row.dtype() == info.dtype()
          && row.shape().equals(info.shape())) {
        inPlace.add(row);
      }
    }
    if (inPlace.size() == header.tensors().size() && inPlace.size() == rows.size()) {
      return new WeightFile(shard.file(), original, inPlace, true);
    }
    List<TensorDeclaration> left = new ArrayList<>();
    rows.forEach((name, row) -> left.add(new TensorDeclaration(name, row.dtype(), row.shape())));
    SafetensorsHeader composed = SafetensorsHeader.layOut(header.metadata(), left);
    return new WeightFile(
        shard.file(),
        composed.encode(),
        composed.tensors().stream()
            .map(info -> Objects.requireNonNull(rows.get(info.name())))
            .toList(),
        false);
  }
}
