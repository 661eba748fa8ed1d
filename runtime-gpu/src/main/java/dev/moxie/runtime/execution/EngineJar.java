package dev.moxie.runtime.execution;

import ai.onnxruntime.OrtEnvironment;
import java.util.Locale;

/** What ONNX Runtime's jar brings along, which can be asked without starting it. */
final class EngineJar {
  /** The property that names a folder with libraries to take instead. */
  static final String NATIVE_PATH = "onnxruntime.native.path";

  private EngineJar() {}

  /** Whether there may be a provider for CUDA, here or in a folder of the user's. */
  static boolean mayHaveCuda() {
    return System.getProperty(NATIVE_PATH) != null
        || OrtEnvironment.class.getResource(resource("onnxruntime_providers_cuda")) != null;
  }

  /** Where a library for this system is. */
  static String resource(String name) {
    String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String arch = System.getProperty("os.arch");
    return "/ai/onnxruntime/native/%s-%s/%s"
        .formatted(
            os.contains("mac") ? "osx" : os.contains("win") ? "win" : "linux",
            arch.equals("amd64") || arch.equals("x86_64") ? "x64" : arch,
            System.mapLibraryName(name));
  }
}
