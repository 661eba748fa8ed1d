package dev.moxie.converter.export;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorDeclaration;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A weight file to write: its header, and from where in the package each tensor's bytes come.
 *
 * @param header the bytes before the data
 * @param tensors in the order of the data
 * @param whole whether each tensor of the checkpoint's file is there, in its dtype and shape
 * @param asItWas whether header and data are byte for byte those of the checkpoint's file
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
record WeightFile(
    String name, byte[] header, List<SourceBytes> tensors, boolean whole, boolean asItWas) {

  /** Bytes of the file. */
  long bytes() {
    return header.length + tensors.stream().mapToLong(SourceBytes::bytes).sum();
  }

  /** Whether it is what lies at this path. */
  boolean isAt(MoxiePackage pack, Path path) throws IOException {
    List<Digests.Extent> extents = new ArrayList<>();
    List<String> expected = new ArrayList<>();
    long offset = header.length;
    for (SourceBytes tensor : tensors) {
      extents.add(new Digests.Extent(offset, tensor.bytes()));
      expected.add(sha256(pack, tensor));
      offset += tensor.bytes();
    }
    return Digests.ofFile(path, header, offset, extents).stream()
        .anyMatch(found -> found.stream().map(Digests.Result::sha256).toList().equals(expected));
  }

  private static String sha256(MoxiePackage pack, SourceBytes tensor) throws IOException {
    if (tensor.isLeaf()) {
      return Objects.requireNonNull(tensor.leaves().getFirst().sha256());
    }
    var digests = new Digests();
    tensor.write(pack, digests::update);
    return digests.finish().sha256();
  }

  /**
   * Plans a file. If every tensor is in the package unchanged, the checkpoint's own header serves;
   * else one is composed for those that are there.
   *
   * @param rows the package's leaves that come from this file, by source tensor
   */
  static WeightFile of(
      MoxiePackage pack, Manifest.SourceShard shard, Map<String, List<IndexRow>> rows) {
    byte[] original = pack.sourceBytes(shard.file() + ".header").orElseThrow();
    SafetensorsHeader header = pack.sourceHeader(shard);
    List<SourceBytes> inPlace = new ArrayList<>();
    int alike = 0;
    List<TensorDeclaration> left = new ArrayList<>();
    for (TensorInfo info : header.tensors()) {
      List<IndexRow> leaves = rows.get(info.name());
      if (leaves != null) {
        IndexRow first = leaves.getFirst();
        Shape shape = first.view() == null ? first.shape() : info.shape();
        requireElements(pack, shard, info, shape, leaves);
        left.add(new TensorDeclaration(info.name(), first.dtype(), shape));
        if (first.dtype() == info.dtype() && shape.equals(info.shape())) {
          alike++;
          if (leaves.stream().allMatch(leaf -> IndexRow.COPY.equals(leaf.transform()))) {
            inPlace.add(new SourceBytes(left.getLast(), leaves));
          }
        }
      }
    }
    boolean whole = alike == header.tensors().size() && alike == rows.size();
    if (whole && inPlace.size() == alike) {
      return new WeightFile(shard.file(), original, inPlace, true, true);
    }
    SafetensorsHeader composed = SafetensorsHeader.layOut(header.metadata(), left);
    return new WeightFile(
        shard.file(),
        composed.encode(),
        composed.tensors().stream()
            .map(
                info ->
                    new SourceBytes(
                        new TensorDeclaration(info.name(), info.dtype(), info.shape()),
                        Objects.requireNonNull(rows.get(info.name()))))
            .toList(),
        whole,
        false);
  }

  /** Decoded numbers that shared a stored value are more than the source's tensor had. */
  private static void requireElements(
      MoxiePackage pack,
      Manifest.SourceShard shard,
      TensorInfo info,
      Shape shape,
      List<IndexRow> leaves) {
    long elements = leaves.stream().mapToLong(leaf -> leaf.shape().elements()).sum();
    if (elements != shape.elements()) {
      throw new UnsupportedException(
          pack.folder() + ", source tensor " + info.name() + " of " + shard.file(),
          "leaves of its " + info.shape() + " elements",
          elements + ", since they were decoded",
          "convert the checkpoint without --dtype to export it");
    }
  }
}
