package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.file.Disk;
import dev.moxie.format.file.DiskFile;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.channels.Channels;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** ONNX Runtime as this project uses it: one environment, one thread pool for all sessions. */
final class Engine {
  private static final OrtEnvironment ENVIRONMENT =
      NativeLibraries.start("ONNX Runtime", Engine::start);

  private Engine() {}

  /**
   * Unpacks the libraries of the CPU, since what ONNX Runtime unpacks by itself leaves a folder
   * behind. Those of CUDA are loaded later, from where it unpacks them.
   */
  private static void unpack(Path folder) throws IOException {
    if (EngineJar.mayHaveCuda()) {
      return;
    }
    for (String name : List.of("onnxruntime", "onnxruntime4j_jni")) {
      try (InputStream library =
          OrtEnvironment.class.getResourceAsStream(EngineJar.resource(name))) {
        if (library == null) {
          return;
        }
        try (DiskFile file = Disk.create(folder.resolve(System.mapLibraryName(name)))) {
          library.transferTo(Channels.newOutputStream(file));
        }
      }
    }
    System.setProperty(EngineJar.NATIVE_PATH, folder.toString());
  }

  private static OrtEnvironment start(Path folder) throws IOException {
    unpack(folder);
    try (var threads = new OrtEnvironment.ThreadingOptions()) {
      threads.setGlobalIntraOpNumThreads(Runtime.getRuntime().availableProcessors());
      threads.setGlobalInterOpNumThreads(1);
      return OrtEnvironment.getEnvironment(
          OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "moxie", threads);
    } catch (OrtException e) {
      throw failed("starting ONNX Runtime", e);
    }
  }

  /** The version of ONNX Runtime. */
  static String version() {
    return ENVIRONMENT.getVersion();
  }

  /** Opens a session for a graph whose external data lie in {@code folder}. */
  static OrtSession session(OnnxMl.ModelProto model, Path folder, Device device) {
    try (var options = new OrtSession.SessionOptions()) {
      options.disablePerSessionThreads();
      options.addConfigEntry(
          "session.model_external_initializers_file_folder_path",
          folder.toAbsolutePath().normalize().toString());
      device.addTo(options);
      return ENVIRONMENT.createSession(model.toByteArray(), options);
    } catch (OrtException e) {
      throw failed("loading graph " + model.getGraph().getName() + " of " + folder, e);
    }
  }

  /** Runs a session; every output is written where {@code outputs} says. */
  static void run(
      OrtSession session, Map<String, OnnxTensor> inputs, Map<String, OnnxTensor> outputs) {
    try {
      // Pinned outputs belong to the caller, so there is nothing to take from the result.
      session.run(inputs, Set.of(), outputs).close();
    } catch (OrtException e) {
      throw failed("running a graph", e);
    }
  }

  /** Makes a tensor. */
  @FunctionalInterface
  private interface Maker {
    OnnxTensor make() throws OrtException;
  }

  private static OnnxTensor tensor(Maker maker) {
    try {
      return maker.make();
    } catch (OrtException e) {
      throw failed("making a tensor", e);
    }
  }

  /** A float32 tensor over fresh memory outside the heap. */
  static OnnxTensor floats(long... shape) {
    return wrap(FloatTensors.allocate(shape), shape);
  }

  /** A float32 tensor over a buffer that the caller keeps. */
  static OnnxTensor wrap(FloatBuffer buffer, long... shape) {
    return tensor(() -> OnnxTensor.createTensor(ENVIRONMENT, buffer, shape));
  }

  /** A float16 tensor of zeros. */
  static OnnxTensor halves(long... shape) {
    ByteBuffer zeros = FloatTensors.bytes(Short.BYTES, shape);
    return tensor(() -> OnnxTensor.createTensor(ENVIRONMENT, zeros, shape, OnnxJavaType.FLOAT16));
  }

  static OnnxTensor longs(long[] values) {
    long[] shape = {values.length};
    LongBuffer buffer = FloatTensors.bytes(Long.BYTES, shape).asLongBuffer().put(values).flip();
    return tensor(() -> OnnxTensor.createTensor(ENVIRONMENT, buffer, shape));
  }

  /** An int32 scalar ({@code shape} empty) or vector of one. */
  static OnnxTensor integer(int value, long... shape) {
    IntBuffer buffer = FloatTensors.bytes(Integer.BYTES, 1).asIntBuffer().put(value).flip();
    return tensor(() -> OnnxTensor.createTensor(ENVIRONMENT, buffer, shape));
  }

  static void close(OrtSession session) {
    try {
      session.close();
    } catch (OrtException e) {
      throw failed("closing a session", e);
    }
  }

  private static EnvironmentException failed(String what, OrtException e) {
    return new EnvironmentException(
        what,
        "ONNX Runtime to do it",
        String.valueOf(e.getMessage()).replace('\n', ' '),
        "run moxie verify on the package; if it passes, report this");
  }
}
