package dev.moxie.format.safetensors;

import dev.moxie.format.file.Signature;
import dev.moxie.format.file.StagedFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
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

  /** What follows the eight bytes of the header's length. */
  private static final Signature SIGNATURE = Signature.at(SafetensorsHeader.LENGTH_BYTES, "{\"");

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
    try (StagedFile file = StagedFile.replace(path, SIGNATURE)) {
      file.file().write(ByteBuffer.wrap(header.encode()));
      for (TensorInfo info : header.tensors()) {
        file.file().write(Objects.requireNonNull(data.get(info.name())));
      }
      file.finish();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
