package dev.moxie.verifier;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.reference.Tolerance;
import dev.moxie.verifier.report.Comparison;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;

/**
 * Before a package first runs in some way, a few tokens of its logits are compared with the
 * oracle's: engines have silent bugs. A pass is remembered in a file beside the package, by
 * manifest digest, device, execution and versions.
 */
public final class LoweringCheck {
  private static final int TOKENS = 4;

  private LoweringCheck() {}

  /**
   * Lets a model run that agrees with the oracle.
   *
   * @param version of this build; another build checks anew
   * @throws EnvironmentException if the graph computes something else
   */
  public static void require(
      MoxiePackage pack, Device device, Execution execution, Model model, String version) {
    Path memory = memory(pack.folder());
    String line = line(pack, device, execution, version);
    if (remembered(memory).contains(line)) {
      return;
    }
    double roundoff = device.target().compute() == Dtype.F16 ? 0x1p-11 : 0x1p-24;
    Comparison logits = compare(pack, model, roundoff);
    if (!logits.verdict().passed()) {
      throw new EnvironmentException(
          "%s, %s on %s".formatted(pack.folder(), execution, device),
          "logits within %.2e of the oracle's".formatted(logits.worst().bound()),
          "a difference of %.2e"
              .formatted(Math.abs(logits.worst().actual() - logits.worst().expected())),
          "do not use this execution on this machine; try the other, and report this");
    }
    remember(memory, line);
  }

  static Comparison compare(MoxiePackage pack, Model model, double roundoff) {
    int vocabulary = pack.architecture().vocabSize();
    long[] ids = new long[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
      ids[i] = (long) vocabulary * (i + 1) / (TOKENS + 1);
    }
    model.begin(TOKENS);
    float[] logits = model.append(ids);
    var oracle = new Oracle(pack, roundoff);
    Estimate hidden = oracle.embed(ids);
    for (int layer = 0; layer < pack.architecture().layers().size(); layer++) {
      hidden = oracle.layer(layer, hidden, null).output();
    }
    Estimate exact = oracle.head(hidden);
    return Tolerance.compare(logits, exact.toFloats(), exact);
  }

  private static Path memory(Path folder) {
    Path absolute = folder.toAbsolutePath().normalize();
    return absolute.resolveSibling("." + absolute.getFileName() + ".moxie-checked");
  }

  private static String line(
      MoxiePackage pack, Device device, Execution execution, String version) {
    try {
      String manifest =
          Digests.sha256(Files.readAllBytes(pack.folder().resolve(PackagePaths.MANIFEST)));
      return "%s %s %s moxie-%s java-%s"
          .formatted(manifest, device, execution, version, Runtime.version())
          .toLowerCase(Locale.ROOT);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<String> remembered(Path memory) {
    try {
      return Files.isRegularFile(memory) ? Files.readAllLines(memory) : List.of();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void remember(Path memory, String line) {
    try {
      Files.writeString(memory, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    } catch (IOException e) {
      // A read-only place: the check runs again next time.
      return;
    }
  }
}
