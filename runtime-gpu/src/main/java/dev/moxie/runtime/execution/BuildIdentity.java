package dev.moxie.runtime.execution;

import dev.moxie.format.pack.Digests;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import jdk.incubator.vector.FloatVector;

/** What must stay the same for a lowering that was right to be right still. */
public final class BuildIdentity {
  private BuildIdentity() {}

  /**
   * The digest of this module's jar, the version of what it computes with, the JVM or ONNX Runtime,
   * and what code is chosen by: the processor's architecture, bits of its vectors, whose JVM it is;
   * nothing where the classes do not come from a jar, as in a build.
   */
  public static Optional<String> current(Execution execution) {
    try {
      Path jar =
          Path.of(BuildIdentity.class.getProtectionDomain().getCodeSource().getLocation().toURI());
      return Files.isRegularFile(jar)
          ? Optional.of(Digests.sha256(Files.readAllBytes(jar)) + " " + engine(execution))
          : Optional.empty();
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What computes, and what it chooses its code by, without a space. */
  static String engine(Execution execution) {
    String version =
        switch (execution) {
          case PLAIN -> "java-" + Runtime.version();
          case FUSED -> "onnxruntime-" + Engine.version();
          case KERNELS -> "kernels";
        };
    return String.join(
        "-",
        version,
        System.getProperty("os.arch"),
        String.valueOf(FloatVector.SPECIES_PREFERRED.vectorBitSize()),
        System.getProperty("java.vm.vendor").replaceAll("\\W+", "_"));
  }
}
