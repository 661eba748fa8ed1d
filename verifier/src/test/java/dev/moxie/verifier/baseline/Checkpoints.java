package dev.moxie.verifier.baseline;

import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;

/** Copies of checkpoints in which something was changed. */
final class Checkpoints {
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
        int at = -1;
        int bytes = 0;
        try (SafetensorsFile opened = SafetensorsFile.open(file)) {
          if (opened.find(tensor).isPresent()) {
            TensorInfo info = opened.find(tensor).get();
            at = Math.toIntExact(Files.size(file) - opened.header().dataBytes() + info.begin());
            bytes = Math.toIntExact(info.end() - info.begin());
          }
        }
        if (at >= 0) {
          byte[] all = Files.readAllBytes(file);
          change.apply(all, at, bytes);
          Files.write(file, all);
          return;
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
      for (Path file : weights(checkpoint)) {
        String text = Files.readString(file, StandardCharsets.ISO_8859_1);
        String swapped = text.replace(a, "\0").replace(b, a).replace("\0", b);
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
