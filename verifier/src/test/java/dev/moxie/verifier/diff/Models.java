package dev.moxie.verifier.diff;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.format.pack.Manifest;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** Checkpoints with tensors changed, and packages of them. */
final class Models {
  private Models() {}

  /** Copies a checkpoint, all weights in one file, each tensor changed or, by null, left out. */
  static Path copy(Path from, Path to, UnaryOperator<@Nullable Tensor> change) {
    List<Tensor> tensors = new ArrayList<>();
    for (Tensor tensor : tensors(from)) {
      Tensor changed = change.apply(tensor);
      if (changed != null) {
        tensors.add(changed);
      }
    }
    try {
      return write(to, Files.readString(from.resolve("config.json")), tensors);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static Path write(Path to, String config, List<Tensor> tensors) {
    try {
      Files.createDirectories(to);
      Files.writeString(to.resolve("config.json"), config);
      SafetensorsWriter.write(to.resolve("model.safetensors"), Map.of("format", "pt"), tensors);
      return to;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static List<Tensor> tensors(Path folder) {
    List<Tensor> tensors = new ArrayList<>();
    for (String name : Checkpoint.open(folder).headers().keySet()) {
      try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(name))) {
        file.header()
            .tensors()
            .forEach(
                info ->
                    tensors.add(
                        new Tensor(
                            info.name(),
                            info.dtype(),
                            info.shape(),
                            ByteBuffer.wrap(file.data(info).toArray(ValueLayout.JAVA_BYTE)))));
      }
    }
    return tensors;
  }

  static Tensor renamed(Tensor tensor, String name) {
    return new Tensor(name, tensor.dtype(), tensor.shape(), tensor.data());
  }

  static Tensor with(Tensor tensor, byte[] data) {
    return new Tensor(tensor.name(), tensor.dtype(), tensor.shape(), ByteBuffer.wrap(data));
  }

  static Tensor floats(String name, Shape shape, float... values) {
    ByteBuffer data = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      data.putFloat(value);
    }
    return new Tensor(name, Dtype.F32, shape, data.flip());
  }

  static Path convert(Path checkpoint, Path target) {
    return convert(checkpoint, target, null, Manifest.Layout.PLAIN, plan -> plan);
  }

  static Path cast(Path checkpoint, Path target, Dtype dtype) {
    var cast = new Manifest.Cast(dtype, Manifest.Rounding.NEAREST_EVEN);
    return convert(checkpoint, target, cast, Manifest.Layout.PLAIN, plan -> plan);
  }

  static Path convert(
      Path checkpoint,
      Path target,
      Manifest.@Nullable Cast cast,
      Manifest.Layout layout,
      UnaryOperator<ConversionPlan> tamper) {
    var conversion = new Conversion(Set.of(), Conversion.Prediction.KEEP, cast, layout);
    ConversionPlan plan = tamper.apply(Planner.plan(Checkpoint.open(checkpoint), conversion));
    Executor.execute(
        plan.contents(), target, new Manifest.Producer("test", "0"), 2, false, Progress.NONE);
    return target;
  }

  static Diff diff(Path a, Path b) {
    return diff(a, b, true);
  }

  static Diff diff(Path a, Path b, boolean trust) {
    try (ModelDiff models = ModelDiff.open(a, b, trust)) {
      return models.run(Progress.NONE);
    }
  }
}
