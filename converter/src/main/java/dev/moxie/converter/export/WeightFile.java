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
import dev.moxie.format.safetensors.WeightHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A weight file to write: its header, and from where in the package each tensor's bytes come.
 *
 * @param header the bytes beside the data
 * @param tensors in the order of the data
 * @param whole whether each tensor of the checkpoint's file is there, in its dtype and shape
 * @param asItWas whether header and data are byte for byte those of the checkpoint's file
 */
record WeightFile(
    String name, Pieces header, List<SourceBytes> tensors, boolean whole, boolean asItWas) {

  /**
   * Bytes beside the data, in pieces: one before each tensor and one after the last. Those of
   * safetensors are empty but for the first.
   */
  record Pieces(List<ByteBuffer> all) {
    static Pieces of(WeightHeader header, byte[] bytes) {
      List<ByteBuffer> all = new ArrayList<>();
      int from = 0;
      for (TensorInfo tensor : header.tensors()) {
        int end = Math.toIntExact(header.before(tensor));
        all.add(ByteBuffer.wrap(bytes, from, end - from).slice().asReadOnlyBuffer());
        from = end;
      }
      all.add(ByteBuffer.wrap(bytes, from, bytes.length - from).slice().asReadOnlyBuffer());
      return new Pieces(all);
    }

    /** Bytes of all of them. */
    int bytes() {
      return all.stream().mapToInt(ByteBuffer::remaining).sum();
    }

    /** Those before a tensor, or after the last. */
    ByteBuffer before(int tensor) {
      return all.get(tensor).duplicate();
    }
  }

  /** Bytes of the file. */
  long bytes() {
    return header.bytes() + tensors.stream().mapToLong(SourceBytes::bytes).sum();
  }

  /** Whether it is what lies at this path. */
  boolean isAt(MoxiePackage pack, Path path) throws IOException {
    List<Digests.Extent> extents = new ArrayList<>();
    List<String> expected = new ArrayList<>();
    long offset = 0;
    for (int i = 0; i <= tensors.size(); i++) {
      ByteBuffer piece = header.before(i);
      extents.add(new Digests.Extent(offset, piece.remaining()));
      offset += piece.remaining();
      var digests = new Digests();
      digests.update(piece);
      expected.add(digests.finish().sha256());
      if (i < tensors.size()) {
        extents.add(new Digests.Extent(offset, tensors.get(i).bytes()));
        offset += tensors.get(i).bytes();
        expected.add(sha256(pack, tensors.get(i)));
      }
    }
    return Digests.ofFile(path, new byte[0], offset, extents).stream()
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
    WeightHeader header = pack.sourceHeader(shard);
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
      return new WeightFile(shard.file(), Pieces.of(header, original), inPlace, true, true);
    }
    if (!(header instanceof SafetensorsHeader former)) {
      throw new UnsupportedException(
          pack.folder() + ", source file " + shard.file(),
          "all of its arrays as they were, since no pickle is composed anew",
          whole ? "some that were changed" : "others",
          "convert the checkpoint without --dtype and --quantize to export it");
    }
    SafetensorsHeader composed = SafetensorsHeader.layOut(former.metadata(), left);
    return new WeightFile(
        shard.file(),
        Pieces.of(composed, composed.encode()),
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
