package dev.moxie.verifier;

import dev.moxie.format.pickle.PickleHeader;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.format.safetensors.WeightHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.IntUnaryOperator;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** Copies of checkpoints with other bytes in some tensors. */
public final class DamagedCheckpoint {
  private DamagedCheckpoint() {}

  /** Changes the bytes of a tensor. */
  @FunctionalInterface
  public interface Damage {
    /**
     * May change the bytes.
     *
     * @param data little-endian, of the tensor alone
     */
    void apply(TensorInfo info, ByteBuffer data);
  }

  /** Copies a checkpoint and damages its tensors. */
  public static Path copy(Path checkpoint, Path target, Damage damage) throws IOException {
    Files.createDirectories(target);
    try (Stream<Path> files = Files.list(checkpoint)) {
      for (Path file : files.toList()) {
        Path copy = Files.copy(file, target.resolve(file.getFileName()));
        String name = file.getFileName().toString();
        if (name.matches("(model|consolidated).*\\.safetensors")) {
          damage(copy, SafetensorsFile.readHeader(copy), damage);
        } else if (name.matches("tensor\\d+_000")) {
          damage(copy, PickleHeader.read(copy), damage);
        }
      }
    }
    return target;
  }

  private static void damage(Path file, WeightHeader header, Damage damage) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    for (TensorInfo info : header.tensors()) {
      int at = Math.toIntExact(header.offset(info));
      ByteBuffer data = ByteBuffer.wrap(bytes, at, Math.toIntExact(info.bytes())).slice();
      damage.apply(info, data.order(ByteOrder.LITTLE_ENDIAN));
    }
    Files.write(file, bytes);
  }

  /** The new value of element i of a tensor's old values. */
  @FunctionalInterface
  public interface Change {
    float of(int i, float[] values);
  }

  /** New values for the float32 and bfloat16 elements of some tensors. */
  public static Damage values(Predicate<String> which, Change change) {
    return (info, data) -> {
      if (!which.test(info.name())) {
        return;
      }
      boolean wide = info.dtype() == Dtype.F32;
      if (!wide && info.dtype() != Dtype.BF16) {
        return;
      }
      float[] old = new float[data.remaining() / (wide ? 4 : 2)];
      for (int i = 0; i < old.length; i++) {
        old[i] = wide ? data.getFloat(4 * i) : Float.intBitsToFloat(data.getShort(2 * i) << 16);
      }
      for (int i = 0; i < old.length; i++) {
        float value = change.of(i, old);
        if (wide) {
          data.putFloat(4 * i, value);
        } else {
          data.putShort(2 * i, (short) (Float.floatToIntBits(value) >>> 16));
        }
      }
    };
  }

  /** Zeros for every element of some tensors. */
  static Damage zeros(Predicate<String> which) {
    return (info, data) -> {
      for (int i = 0; i < data.limit() && which.test(info.name()); i++) {
        data.put(i, (byte) 0);
      }
    };
  }

  /** Other rows, of any dtype, in some matrices. */
  static Damage rows(Predicate<String> which, IntUnaryOperator source) {
    return (info, data) -> {
      if (which.test(info.name())) {
        byte[] old = new byte[data.limit()];
        data.get(0, old);
        int size = Math.toIntExact(info.bytes() / info.shape().dim(0));
        for (int r = 0; r < old.length / size; r++) {
          data.put(r * size, old, source.applyAsInt(r) * size, size);
        }
      }
    };
  }

  /** Square bfloat16 matrices, rows for columns. */
  static Damage transposed(Predicate<String> which) {
    return (info, data) -> {
      if (which.test(info.name())) {
        int n = Math.toIntExact(info.shape().dim(0));
        for (int r = 0; r < n; r++) {
          for (int c = 0; c < r; c++) {
            short one = data.getShort(2 * (r * n + c));
            data.putShort(2 * (r * n + c), data.getShort(2 * (c * n + r)));
            data.putShort(2 * (c * n + r), one);
          }
        }
      }
    };
  }
}
