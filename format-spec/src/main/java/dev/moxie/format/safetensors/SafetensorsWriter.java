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
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Writes small safetensors files from memory: traces, fixtures. Tensors are placed as {@link
 * SafetensorsHeader#layOut} places them. The file appears under its name only when it is complete.
 */
public final class SafetensorsWriter {
  /** One tensor to write; {@code data} are its little-endian bytes. */
  public record Tensor(String name, Dtype dtype, Shape shape, ByteBuffer data) {}

  private SafetensorsWriter() {}

  /** Writes the file; each tensor's data must have the bytes of its shape. */
  public static void write(Path path, Map<String, String> metadata, List<Tensor> tensors) {
    Map<String, ByteBuffer> data = new HashMap<>();
    List<TensorDeclaration> declarations = new ArrayList<>();
    for (Tensor tensor : tensors) {
      var declaration = new TensorDeclaration(tensor.name(), tensor.dtype(), tensor.shape());
      if (tensor.data().remaining() != declaration.bytes()) {
        throw new IllegalArgumentException(
            tensor.name() + ": " + tensor.data().remaining() + " bytes for " + tensor.shape());
      }
      data.put(tensor.name(), tensor.data().duplicate());
      declarations.add(declaration);
    }
    SafetensorsHeader header = SafetensorsHeader.layOut(metadata, declarations);
    Path temporary = path.resolveSibling(path.getFileName() + ".tmp");
    try {
      try (FileChannel out =
          FileChannel.open(
              temporary,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        Channels.writeFully(out, ByteBuffer.wrap(header.encode()));
        for (TensorInfo info : header.tensors()) {
          Channels.writeFully(out, Objects.requireNonNull(data.get(info.name())));
        }
        out.force(true);
      }
      Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
