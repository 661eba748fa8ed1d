package dev.moxie.runtime;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.SafetensorsWriter.Tensor;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A random checkpoint with a layer for multi-token prediction of which some guesses are right, and
 * some not, without training: the last decoder layer again, with the model's own embedding, norm
 * and head, which reads the next token alone.
 */
public final class Guesser {
  private static final int LAYERS = 3;
  private static final int HIDDEN = 64;
  private static final short ONE = 0x3f80;

  /** Of a number's exponent. */
  private static final int TIMES_FOUR = 2 << 7;

  private Guesser() {}

  /** Whose layers keep keys and values. */
  public static Path checkpoint(Path folder) {
    Path random = Fixtures.root().resolve("random/glm4_moe");
    List<Tensor> tensors = new ArrayList<>();
    try (Stream<Path> files = Files.list(random)) {
      Files.createDirectories(folder);
      Files.copy(random.resolve("config.json"), folder.resolve("config.json"));
      for (Path file : files.filter(f -> f.toString().contains("model-0")).sorted().toList()) {
        try (SafetensorsFile opened = SafetensorsFile.open(file)) {
          opened.header().tensors().forEach(info -> add(tensors, info, opened));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    tensors.add(ones("enorm"));
    tensors.add(ones("hnorm"));
    ByteBuffer combine = bytes(2 * HIDDEN * HIDDEN);
    for (int i = 0; i < HIDDEN; i++) {
      combine.putShort(2 * (2 * HIDDEN * i + i), ONE);
    }
    tensors.add(
        new Tensor(predicted("eh_proj"), Dtype.BF16, Shape.of(HIDDEN, 2 * HIDDEN), combine));
    SafetensorsWriter.write(folder.resolve("model.safetensors"), Map.of(), tensors);
    return folder;
  }

  private static void add(List<Tensor> tensors, TensorInfo info, SafetensorsFile file) {
    ByteBuffer data = ByteBuffer.allocate((int) info.bytes()).put(file.data(info).asByteBuffer());
    data.flip();
    if (info.name().equals("model.embed_tokens.weight")) {
      enlarge(data);
    }
    tensors.add(new Tensor(info.name(), info.dtype(), info.shape(), data));
    String last = "model.layers." + (LAYERS - 1) + ".";
    String again =
        switch (info.name()) {
          case "model.embed_tokens.weight" -> predicted("embed_tokens");
          case "model.norm.weight" -> predicted("shared_head.norm");
          case "lm_head.weight" -> predicted("shared_head.head");
          default -> info.name().replace(last, "model.layers." + LAYERS + ".");
        };
    if (!again.equals(info.name())) {
      tensors.add(new Tensor(again, info.dtype(), info.shape(), data));
    }
  }

  /** So that the next token depends on the last one most of all. */
  private static void enlarge(ByteBuffer bf16) {
    ByteBuffer numbers = bf16.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    while (numbers.hasRemaining()) {
      int at = numbers.position();
      short number = numbers.getShort();
      numbers.putShort(at, (short) (number + TIMES_FOUR));
    }
  }

  private static String predicted(String name) {
    return "model.layers." + LAYERS + "." + name + ".weight";
  }

  private static ByteBuffer bytes(int numbers) {
    return ByteBuffer.allocate(2 * numbers).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static Tensor ones(String name) {
    ByteBuffer data = bytes(HIDDEN);
    for (int i = 0; i < HIDDEN; i++) {
      data.putShort(ONE);
    }
    return new Tensor(predicted(name), Dtype.BF16, Shape.of(HIDDEN), data.flip());
  }
}
