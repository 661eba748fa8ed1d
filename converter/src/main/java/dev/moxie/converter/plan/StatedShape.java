package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The numbers of a small tensor that states a shape. */
final class StatedShape {
  private StatedShape() {}

  /** What it states; nothing if its dtype is none of whole numbers. */
  static List<Long> of(Path folder, SourceTensor tensor) {
    List<Long> numbers = new ArrayList<>();
    if (tensor.dtype() != Dtype.I32 && tensor.dtype() != Dtype.I64) {
      return numbers;
    }
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(tensor.bytes())).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = FileChannel.open(folder.resolve(tensor.file()))) {
      SameBytes.read(channel, bytes, tensor.offset());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    while (bytes.hasRemaining()) {
      numbers.add(tensor.dtype() == Dtype.I32 ? bytes.getInt() : bytes.getLong());
    }
    return numbers;
  }
}
