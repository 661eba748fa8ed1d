package dev.moxie.runtime.execution;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.ort.EngineJar;
import dev.moxie.runtime.ort.SessionOptions;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * ONNX Runtime's provider for CUDA. Its libraries are looked for beside ONNX Runtime's own when a
 * session first asks for it, so that is where they are unpacked, for that moment.
 */
final class CudaProvider {
  /** What its libraries take at most. */
  private static final long ROOM = 640L << 20;

  private static final Map<String, String> OPTIONS =
      Map.of(
          "device_id", "0",
          // Rounds factors of float32 to 11 bits, else.
          "use_tf32", "0",
          "arena_extend_strategy", "kSameAsRequested");

  private static final Pattern MISSING_LIBRARY = Pattern.compile("(lib[\\w.+-]+): cannot open");

  private static final Optional<String> FAILURE = load();

  private CudaProvider() {}

  private static Optional<String> load() {
    return EngineJar.folder() == null && EngineJar.mayHaveCuda()
        ? NativeLibraries.more(
            "ONNX Runtime's provider for CUDA", Engine.folder(), ROOM, CudaProvider::unpackAndLoad)
        : tryToAdd();
  }

  private static Optional<String> unpackAndLoad(Path folder) throws IOException {
    EngineJar.unpack("onnxruntime_providers_shared", folder);
    EngineJar.unpack(EngineJar.CUDA, folder);
    return tryToAdd();
  }

  /** Listing CUDA among the available providers only says that the jar carries it. */
  private static Optional<String> tryToAdd() {
    try (SessionOptions options = Engine.options()) {
      return options.addCuda(OPTIONS, null);
    }
  }

  /**
   * Makes sure that it loads.
   *
   * @throws EnvironmentException naming what is missing
   */
  static void require() {
    FAILURE.ifPresent(
        message -> {
          throw missing(message);
        });
  }

  /**
   * Lets a session compute with it.
   *
   * @param stream a CUstream on which it does; null for one of its own
   */
  static void addTo(SessionOptions options, @Nullable MemorySegment stream) {
    require();
    options
        .addCuda(OPTIONS, stream)
        .ifPresent(
            message -> {
              throw missing(message);
            });
  }

  /** What a message of ONNX Runtime means, and what to do. */
  static EnvironmentException missing(String message) {
    Matcher library = MISSING_LIBRARY.matcher(message);
    boolean cpuBuild = message.contains("not enabled in this build");
    String found =
        library.find()
            ? "no " + library.group(1) + " on this machine"
            : cpuBuild ? "no CUDA provider (libonnxruntime_providers_cuda) in this build" : message;
    String remedy =
        cpuBuild
            ? "build with MOXIE_MAVEN_ARGS=-Pcuda on a machine with CUDA 12.8 or later 12, or use"
                + " --device cpu"
            : "install CUDA 12.8, or later 12, and its driver, or use --device cpu";
    return new EnvironmentException("--device cuda", "a CUDA provider that loads", found, remedy);
  }
}
