package dev.moxie.runtime.ort;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.file.Disk;
import dev.moxie.format.file.DiskFile;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.file.Path;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What ONNX Runtime's jar brings along, which can be asked without starting it. */
public final class EngineJar {
  /** The property that names a folder with libraries to take instead. */
  private static final String NATIVE_PATH = "onnxruntime.native.path";

  /** The library that is the provider for CUDA. */
  public static final String CUDA = "onnxruntime_providers_cuda";

  private EngineJar() {}

  /** A folder of the user's, with libraries to take instead; null where none was named. */
  public static @Nullable Path folder() {
    String folder = System.getProperty(NATIVE_PATH);
    return folder == null ? null : Path.of(folder).toAbsolutePath();
  }

  /** Whether there may be a provider for CUDA, here or in a folder of the user's. */
  public static boolean mayHaveCuda() {
    return folder() != null || EngineJar.class.getResource(resource(CUDA)) != null;
  }

  /**
   * Unpacks a library for this system.
   *
   * @throws EnvironmentException if there is none
   */
  public static void unpack(String name, Path folder) throws IOException {
    String resource = resource(name);
    try (InputStream library = EngineJar.class.getResourceAsStream(resource)) {
      if (library == null) {
        throw new EnvironmentException(
            "the libraries of ONNX Runtime",
            "one for this system",
            "no " + resource,
            "use --execution plain, or name a folder that has it with -D" + NATIVE_PATH);
      }
      try (DiskFile file = Disk.create(folder.resolve(System.mapLibraryName(name)))) {
        library.transferTo(Channels.newOutputStream(file));
      }
    }
  }

  private static String resource(String name) {
    String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    String arch = System.getProperty("os.arch");
    return "/ai/onnxruntime/native/%s-%s/%s"
        .formatted(
            os.contains("mac") ? "osx" : os.contains("win") ? "win" : "linux",
            arch.equals("amd64") || arch.equals("x86_64") ? "x64" : arch,
            System.mapLibraryName(name));
  }
}
