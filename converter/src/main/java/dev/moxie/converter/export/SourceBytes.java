package dev.moxie.converter.export;

import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.TensorDeclaration;
import dev.moxie.format.view.Rearrangement;
import dev.moxie.format.view.View;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Objects;

/**
 * A tensor of the checkpoint, put together from leaves.
 *
 * @param leaves one that is the tensor, or those that see it
 */
record SourceBytes(TensorDeclaration tensor, List<IndexRow> leaves) {
  /** Put together at a time. */
  private static final int SLAB_BYTES = 4 << 20;

  SourceBytes {
    leaves = List.copyOf(leaves);
  }

  String name() {
    return tensor.name();
  }

  long bytes() {
    return tensor.shape().bytes(tensor.dtype());
  }

  /** Whether the bytes are those of one leaf. */
  boolean isLeaf() {
    return leaves.getFirst().view() == null;
  }

  /** Takes the next bytes. */
  @FunctionalInterface
  interface Sink {
    void write(ByteBuffer bytes) throws IOException;
  }

  /** Puts the bytes together, each leaf through its view, a slab at a time. */
  void write(MoxiePackage pack, Sink sink) throws IOException {
    int width = tensor.dtype().bits() / Byte.SIZE;
    ByteBuffer slab =
        ByteBuffer.allocateDirect((int) Math.min(SLAB_BYTES, bytes()))
            .order(ByteOrder.LITTLE_ENDIAN);
    MemorySegment segment = MemorySegment.ofBuffer(slab);
    List<Part> parts = leaves.stream().map(leaf -> Part.of(pack, leaf)).toList();
    long elements = tensor.shape().elements();
    long most = slab.capacity() / width;
    for (long from = 0; from < elements; from += most) {
      long end = Math.min(elements, from + most);
      for (Part part : parts) {
        part.way().scatter(part.bytes(), segment, from, end, width);
      }
      sink.write(slab.clear().limit((int) ((end - from) * width)));
    }
  }

  private record Part(Rearrangement way, MemorySegment bytes) {
    static Part of(MoxiePackage pack, IndexRow leaf) {
      View view = Objects.requireNonNull(leaf.view());
      return new Part(Rearrangement.of(view), pack.bytes(leaf));
    }
  }
}
