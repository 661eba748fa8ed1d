package dev.moxie.verifier.baseline;

import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/** Copies of checkpoints in which something was changed. */
final class Checkpoints {
  /** Stands in for a name while two are swapped; no weight spells it. */
  private static final String MARK = "a name that stands for no tensor";

  private Checkpoints() {}

  static Path copy(Path checkpoint, Path target) {
    try (var files = Files.list(checkpoint)) {
      Files.createDirectories(target);
      for (Path file : files.toList()) {
        Files.copy(file, target.resolve(file.getFileName().toString()));
      }
      return target;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Changes config.json. */
  static void configure(Path checkpoint, UnaryOperator<String> change) {
    Path file = checkpoint.resolve("config.json");
    try {
      Files.writeString(file, change.apply(Files.readString(file)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Changes bytes of a tensor in place. */
  interface Change {
    /**
     * Changes them.
     *
     * @param at where the tensor begins
     */
    void apply(byte[] file, int at, int bytes);
  }

  static void change(Path checkpoint, String tensor, Change change) {
    try {
      for (Path file : weights(checkpoint)) {
        SafetensorsHeader header = SafetensorsFile.readHeader(file);
        for (TensorInfo info : header.tensors()) {
          if (info.name().equals(tensor)) {
            byte[] all = Files.readAllBytes(file);
            long json = ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
            int at = Math.toIntExact(SafetensorsHeader.LENGTH_BYTES + json + info.begin());
            change.apply(all, at, Math.toIntExact(info.bytes()));
            Files.write(file, all);
            return;
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    throw new IllegalArgumentException("no tensor " + tensor);
  }

  /** Gives each of two sets of tensors, whose names are equally long, the other's bytes. */
  static void swap(Path checkpoint, String a, String b) {
    try {
      List<Path> files = new ArrayList<>(weights(checkpoint));
      files.add(checkpoint.resolve("model.safetensors.index.json"));
      for (Path file : files) {
        String text = Files.readString(file, StandardCharsets.ISO_8859_1);
        String swapped = text.replace(a, MARK).replace(b, a).replace(MARK, b);
        Files.writeString(file, swapped, StandardCharsets.ISO_8859_1);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<Path> weights(Path checkpoint) throws IOException {
    try (var files = Files.list(checkpoint)) {
      return files
          .filter(file -> file.getFileName().toString().startsWith("model"))
          .filter(file -> file.toString().endsWith(".safetensors"))
          .sorted()
          .toList();
    }
  }
}
