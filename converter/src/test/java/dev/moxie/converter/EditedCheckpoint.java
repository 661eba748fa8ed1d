package dev.moxie.converter;

import dev.moxie.converter.adapter.LoraAdapter;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.SafetensorsWriter.Tensor;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/** A checkpoint as people have it: a copy of a fixture, its weights in one file, to be changed. */
public final class EditedCheckpoint {
  private static final String INDEX = "model.safetensors.index.json";
  private static final String WHOLE = "model.safetensors";

  private final Path folder;

  /** The tensors, by name; {@link #write} puts them into the file. */
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();

  private EditedCheckpoint(Path folder) {
    this.folder = folder;
  }

  /** Copies a fixture, but for its index and traces. */
  public static EditedCheckpoint of(Path fixture, Path folder) {
    var edited = new EditedCheckpoint(folder);
    for (String file : Checkpoint.open(fixture).headers().keySet()) {
      try (SafetensorsFile open = SafetensorsFile.open(fixture.resolve(file))) {
        open.header()
            .tensors()
            .forEach(
                info ->
                    edited.put(
                        info.name(),
                        info.dtype(),
                        info.shape(),
                        open.data(info).toArray(ValueLayout.JAVA_BYTE)));
      }
    }
    try {
      Files.createDirectories(folder);
      Files.copy(fixture.resolve("config.json"), folder.resolve("config.json"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return edited.write();
  }

  /** Where it lies. */
  public Path folder() {
    return folder;
  }

  /** Changes config.json. */
  public EditedCheckpoint config(Consumer<ObjectNode> change) {
    Path file = folder.resolve("config.json");
    ObjectNode json = StrictJson.readObject(file);
    change.accept(json);
    return text("config.json", json.toString());
  }

  /** Writes a file beside the weights. */
  public EditedCheckpoint text(String name, String text) {
    try {
      Files.createDirectories(folder.resolve(name).getParent());
      Files.writeString(folder.resolve(name), text);
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Takes a file away. */
  public EditedCheckpoint without(String file) {
    try {
      Files.delete(folder.resolve(file));
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Adds a tensor of zeros. */
  public EditedCheckpoint add(String name, Dtype dtype, long... shape) {
    Shape of = Shape.of(shape);
    return put(name, dtype, of, new byte[Math.toIntExact(of.bytes(dtype))]);
  }

  /** Adds a tensor, or gives one of that name other values. */
  public EditedCheckpoint put(String name, Dtype dtype, Shape shape, byte[] bytes) {
    tensors.put(name, new Tensor(name, dtype, shape, ByteBuffer.wrap(bytes)));
    return this;
  }

  /** The bytes of a tensor, to keep. */
  public byte[] bytes(String name) {
    return Arrays.copyOf(tensor(name).data().array(), tensor(name).data().capacity());
  }

  /** Whether there is a tensor of that name. */
  public boolean has(String name) {
    return tensors.containsKey(name);
  }

  /** A tensor. */
  public Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IllegalArgumentException(name);
    }
    return tensor;
  }

  /** Gives tensors other names; null takes one away. */
  public EditedCheckpoint rename(UnaryOperator<@Nullable String> change) {
    List<Tensor> all = List.copyOf(tensors.values());
    tensors.clear();
    for (Tensor tensor : all) {
      String name = change.apply(tensor.name());
      if (name != null) {
        tensors.put(name, new Tensor(name, tensor.dtype(), tensor.shape(), tensor.data()));
      }
    }
    return this;
  }

  /** Writes the weights into one file. */
  public EditedCheckpoint write() {
    SafetensorsWriter.write(
        folder.resolve(WHOLE), Map.of("format", "pt"), List.copyOf(tensors.values()));
    return this;
  }

  /**
   * Writes the weights as two shards of which the second holds other values for some.
   *
   * @param others that the index reads from the second shard
   */
  public EditedCheckpoint overlay(Map<String, byte[]> others) {
    write();
    try {
      Files.move(folder.resolve(WHOLE), folder.resolve("model-00001-of-00002.safetensors"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    ObjectNode map = StrictJson.mapper(false).createObjectNode();
    tensors.keySet().forEach(name -> map.put(name, "model-00001-of-00002.safetensors"));
    others.forEach(
        (name, bytes) -> {
          put(name, tensor(name).dtype(), tensor(name).shape(), bytes);
          map.put(name, "model-00002-of-00002.safetensors");
        });
    SafetensorsWriter.write(
        folder.resolve("model-00002-of-00002.safetensors"),
        Map.of("format", "pt"),
        others.keySet().stream().map(this::tensor).toList());
    return text(INDEX, "{\"metadata\": {}, \"weight_map\": " + map + "}");
  }

  /** Converts a checkpoint. */
  public static MoxiePackage convert(Path checkpoint, Path target, Conversion conversion) {
    return convert(checkpoint, null, target, conversion);
  }

  /** Converts a checkpoint with an adapter, if there is one. */
  public static MoxiePackage convert(
      Path checkpoint, @Nullable Path adapter, Path target, Conversion conversion) {
    LoraAdapter merged = adapter == null ? null : LoraAdapter.open(adapter);
    Executor.execute(
        Planner.plan(Checkpoint.open(checkpoint), conversion, merged).contents(),
        target,
        new Manifest.Producer("test", "0"),
        2,
        false,
        Progress.NONE);
    return MoxiePackage.open(target);
  }

  /** A conversion that changes no element. */
  public static Conversion lossless(Conversion.@Nullable Prediction prediction) {
    return new Conversion(Set.of(), prediction, null);
  }
}
