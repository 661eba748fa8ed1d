package dev.moxie.format.safetensors;

import dev.moxie.format.file.Channels;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * Writes small safetensors files from memory: traces, fixtures. Tensors are ordered as the
 * reference implementation orders them: widest dtype first, then by name. The file appears under
 * its name only when it is complete.
 */
public final class SafetensorsWriter {
  /** One tensor to write; {@code data} are its little-endian bytes. */
  public record Tensor(String name, Dtype dtype, Shape shape, ByteBuffer data) {}

  private SafetensorsWriter() {}

  /** Writes the file; each tensor's data must have the bytes of its shape. */
  public static void write(Path path, Map<String, String> metadata, List<Tensor> tensors) {
    List<Tensor> ordered =
        tensors.stream()
            .sorted(Comparator.comparing(Tensor::dtype).reversed().thenComparing(Tensor::name))
            .toList();
    List<TensorInfo> infos = new ArrayList<>();
    long next = 0;
    for (Tensor tensor : ordered) {
      long bytes = tensor.shape().bytes(tensor.dtype());
      if (tensor.data().remaining() != bytes) {
        throw new IllegalArgumentException(
            tensor.name() + ": " + tensor.data().remaining() + " bytes for " + tensor.shape());
      }
      infos.add(new TensorInfo(tensor.name(), tensor.dtype(), tensor.shape(), next, next + bytes));
      next += bytes;
    }
    byte[] header =
        SafetensorsHeader.compose(metadata, infos, SafetensorsHeader.LENGTH_BYTES).encode();
    Path temporary = path.resolveSibling(path.getFileName() + ".tmp");
    try {
      try (FileChannel out =
          FileChannel.open(
              temporary,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        Channels.writeFully(out, ByteBuffer.wrap(header));
        for (Tensor tensor : ordered) {
          Channels.writeFully(out, tensor.data().duplicate());
        }
        out.force(true);
      }
      Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
