package dev.moxie.runtime.execution;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.providers.OrtCUDAProviderOptions;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.lowering.Target;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where graphs run. */
public enum Device {
  CPU,
  CUDA;

  private static final Pattern MISSING_LIBRARY = Pattern.compile("(lib[\\w.+-]+): cannot open");

  /** What graphs for this device are built for. */
  public Target target() {
    return this == CUDA ? Target.CUDA : Target.CPU;
  }

  /** CUDA if its provider really loads, else the CPU. */
  public static Device best() {
    if (!EngineJar.mayHaveCuda()) {
      // Starting the engine to find out takes longer than opening a package.
      return CPU;
    }
    try {
      CUDA.require();
      return CUDA;
    } catch (EnvironmentException e) {
      return CPU;
    }
  }

  /**
   * Makes sure that the device can be used.
   *
   * @throws EnvironmentException naming what is missing
   */
  public void require() {
    if (this == CPU) {
      return;
    }
    // Providers log through the environment while they load, so it comes first.
    Engine.version();
    try (var options = new OrtSession.SessionOptions()) {
      // Listing CUDA among the available providers only says that the jar carries it.
      addTo(options);
    } catch (OrtException e) {
      throw missing(e);
    }
  }

  void addTo(OrtSession.SessionOptions options) throws OrtException {
    if (this == CUDA) {
      // The overload with an options object is the one whose error names the missing library.
      try (var cuda = new OrtCUDAProviderOptions(0)) {
        options.addCUDA(cuda);
      }
    }
  }

  private static EnvironmentException missing(OrtException e) {
    String message = String.valueOf(e.getMessage());
    Matcher library = MISSING_LIBRARY.matcher(message);
    boolean cpuBuild = message.contains("Failed to find CUDA shared provider");
    String found =
        library.find()
            ? "no " + library.group(1) + " on this machine"
            : cpuBuild
                ? "no CUDA provider (libonnxruntime_providers_cuda) in this build"
                : message.lines().findFirst().orElse("none");
    String remedy =
        cpuBuild
            ? "build with MOXIE_MAVEN_ARGS=-Pcuda on a machine with CUDA 12.8 or later 12, or use"
                + " --device cpu"
            : "install CUDA 12.8, or later 12, and its driver, or use --device cpu";
    return new EnvironmentException("--device cuda", "a CUDA provider that loads", found, remedy);
  }
}
