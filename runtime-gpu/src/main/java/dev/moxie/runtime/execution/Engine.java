package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.ElementType;
import dev.moxie.runtime.ort.EngineJar;
import dev.moxie.runtime.ort.Environment;
import dev.moxie.runtime.ort.MemoryInfo;
import dev.moxie.runtime.ort.RunOptions;
import dev.moxie.runtime.ort.Session;
import dev.moxie.runtime.ort.SessionOptions;
import dev.moxie.runtime.ort.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.Map;
import java.util.function.Consumer;

/** ONNX Runtime as this project uses it: one environment, one thread pool for all sessions. */
final class Engine {
  private static final Started STARTED = start();

  /** Memory of this process. */
  private static final MemoryInfo HOST = STARTED.environment.memory(MemoryInfo.Kind.HOST);

  private Engine() {}

  /**
   * What was started.
   *
   * @param folder the library's, which is gone if it was unpacked there
   */
  private record Started(Environment environment, Path folder) {}

  private static Started start() {
    Path folder = EngineJar.folder();
    return folder == null
        ? NativeLibraries.start("ONNX Runtime", Engine::unpackAndStart)
        : start(folder);
  }

  private static Started unpackAndStart(Path folder) throws IOException {
    EngineJar.unpack("onnxruntime", folder);
    // The name under which the library finds itself, and looks for others.
    return start(folder.toRealPath());
  }

  private static Started start(Path folder) {
    Path library = folder.resolve(System.mapLibraryName("onnxruntime"));
    int threads = Runtime.getRuntime().availableProcessors();
    return new Started(Environment.start(library, threads), folder);
  }

  /** The version of ONNX Runtime. */
  static String version() {
    return STARTED.environment.version();
  }

  /** The folder in which ONNX Runtime looks for providers. */
  static Path folder() {
    return STARTED.folder;
  }

  static SessionOptions options() {
    return STARTED.environment.options();
  }

  static RunOptions runOptions() {
    return STARTED.environment.runOptions();
  }

  static MemoryInfo memory(MemoryInfo.Kind kind) {
    return kind == MemoryInfo.Kind.HOST ? HOST : STARTED.environment.memory(kind);
  }

  /**
   * Opens a session for a graph whose external data lie in {@code folder}.
   *
   * @param provider adds what computes, if that is not the CPU
   */
  static Session session(OnnxMl.ModelProto model, Path folder, Consumer<SessionOptions> provider) {
    try (SessionOptions options = options()) {
      options.set(
          "session.model_external_initializers_file_folder_path",
          folder.toAbsolutePath().normalize().toString());
      // Else weights of more than 1 GB are cast for every token.
      options.set(
          "optimization.constant_folding_max_output_size_in_bytes", String.valueOf(Long.MAX_VALUE));
      provider.accept(options);
      String name = "graph " + model.getGraph().getName() + " of " + folder;
      return STARTED.environment.session(model.toByteArray(), options, name);
    }
  }

  /** Runs a session with more inputs and outputs than are bound; it is done when this returns. */
  static void run(Binding binding, Map<String, Tensor> inputs, Map<String, Tensor> outputs) {
    inputs.forEach(binding::input);
    outputs.forEach(binding::output);
    try (RunOptions options = runOptions()) {
      binding.run(options);
    }
  }

  /** A float32 tensor over a buffer that the caller keeps. */
  static Tensor wrap(FloatBuffer buffer, long... shape) {
    return HOST.tensor(MemorySegment.ofBuffer(buffer), ElementType.FLOAT, shape);
  }

  /** An int32 scalar ({@code shape} empty) or vector of one. */
  static Tensor integer(int value, long... shape) {
    IntBuffer buffer = FloatTensors.bytes(Integer.BYTES, 1).asIntBuffer().put(value).flip();
    return HOST.tensor(MemorySegment.ofBuffer(buffer), ElementType.INT32, shape);
  }

  static Tensor longs(long[] values) {
    long[] shape = {values.length};
    LongBuffer buffer = FloatTensors.bytes(Long.BYTES, shape).asLongBuffer().put(values).flip();
    return HOST.tensor(MemorySegment.ofBuffer(buffer), ElementType.INT64, shape);
  }
}
