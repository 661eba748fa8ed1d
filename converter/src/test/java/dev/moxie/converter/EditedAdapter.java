package dev.moxie.converter;

import dev.moxie.format.json.StrictJson;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.SafetensorsWriter.Tensor;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.DoubleSupplier;
import tools.jackson.databind.node.ObjectNode;

/** An adapter as peft saves it, to be changed. */
public final class EditedAdapter {
  private static final String PREFIX = "base_model.model.";

  private final Path folder;
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final Random random = new Random(11);

  private EditedAdapter(Path folder) {
    this.folder = folder;
  }

  /** One that targets nothing yet, of rank 2, times 2. */
  public static EditedAdapter in(Path folder) {
    var adapter = new EditedAdapter(folder);
    return adapter.text(
        """
        {"peft_type": "LORA", "peft_version": "0.19.0", "r": 2, "lora_alpha": 4,
         "target_modules": []}\
        """);
  }

  /** A copy. */
  public static EditedAdapter of(Path original, Path folder) {
    var adapter = new EditedAdapter(folder);
    try (SafetensorsFile file =
        SafetensorsFile.open(original.resolve("adapter_model.safetensors"))) {
      file.header()
          .tensors()
          .forEach(
              info ->
                  adapter.put(
                      info.name(),
                      info.dtype(),
                      info.shape(),
                      file.data(info).toArray(ValueLayout.JAVA_BYTE)));
      return adapter.text(Files.readString(original.resolve("adapter_config.json"))).write();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public Path folder() {
    return folder;
  }

  /** Replaces adapter_config.json. */
  public EditedAdapter text(String json) {
    try {
      Files.createDirectories(folder);
      Files.writeString(folder.resolve("adapter_config.json"), json);
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Changes adapter_config.json. */
  public EditedAdapter config(Consumer<ObjectNode> change) {
    ObjectNode json = StrictJson.readObject(folder.resolve("adapter_config.json"));
    change.accept(json);
    return text(json.toString());
  }

  /** Adds both factors of a module, with values at random. */
  public EditedAdapter lora(String module, Shape a, Shape b) {
    return random(module + ".lora_A.weight", a).random(module + ".lora_B.weight", b);
  }

  /** Adds a tensor with values at random. */
  public EditedAdapter random(String name, Shape shape) {
    return floats(name, shape, random::nextGaussian);
  }

  /** Adds a tensor of float32. */
  public EditedAdapter floats(String name, Shape shape, DoubleSupplier values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(shape.bytes(Dtype.F32))).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      bytes.putFloat((float) values.getAsDouble());
    }
    return put(PREFIX + name, Dtype.F32, shape, bytes.array());
  }

  /** Adds a tensor, or gives one of that name other values. */
  public EditedAdapter put(String name, Dtype dtype, Shape shape, byte[] bytes) {
    tensors.put(name, new Tensor(name, dtype, shape, ByteBuffer.wrap(bytes)));
    return this;
  }

  /** Takes a tensor away. */
  public EditedAdapter without(String name) {
    if (tensors.remove(name) == null) {
      throw new IllegalArgumentException(name);
    }
    return this;
  }

  /** The elements of a float32 tensor. */
  public float[] values(String name) {
    Tensor tensor = tensors.get(PREFIX + name);
    float[] values = new float[tensor.data().capacity() / Float.BYTES];
    tensor.data().duplicate().order(ByteOrder.LITTLE_ENDIAN).clear().asFloatBuffer().get(values);
    return values;
  }

  /** Writes the factors. */
  public EditedAdapter write() {
    SafetensorsWriter.write(
        folder.resolve("adapter_model.safetensors"),
        Map.of("format", "pt"),
        List.copyOf(tensors.values()));
    return this;
  }
}
