package dev.moxie.verifier;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.file.Notes;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.BuildIdentity;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Comparison;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Before a package first runs in some way, a few tokens of its logits are compared with the
 * oracle's: engines have silent bugs. The last token comes alone, after the others, so that the
 * cache is tried as well. A pass is remembered in a file beside the package, by manifest digest,
 * device, execution and build.
 */
public final class LoweringCheck {
  private static final int TOKENS = 4;

  /** What is remembered of a pass; see {@link #line}. */
  private static final Pattern PASS = Pattern.compile("[0-9a-f]{64} .+");

  private LoweringCheck() {}

  /**
   * Lets a model run that agrees with the oracle.
   *
   * @throws EnvironmentException if the graph computes something else
   */
  public static void require(MoxiePackage pack, Device device, Execution execution, Model model) {
    var passes = new Notes(pack.folder().toAbsolutePath().normalize(), "checked", PASS);
    Optional<String> line = line(pack, device, execution);
    if (line.isPresent() && passes.contain(line.get())) {
      return;
    }
    Precision precision = device.target().compute() == Dtype.F16 ? Precision.F16 : Precision.F32;
    Comparison logits = compare(pack, model, precision);
    if (!logits.verdict().passed()) {
      throw new EnvironmentException(
          pack.folder() + ", " + execution + " on " + device,
          "logits within " + logits.worst().bound() + " of the oracle's",
          "a difference of " + Math.abs(logits.worst().actual() - logits.worst().expected()),
          "do not use this execution on this machine; try the other, and report this");
    }
    line.ifPresent(passes::add);
  }

  /** Compares the tokens before the first whose routing rounding may decide otherwise. */
  static Comparison compare(MoxiePackage pack, Model model, Precision precision) {
    int vocabulary = pack.architecture().vocabSize();
    long[] ids = new long[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
      ids[i] = (long) vocabulary * (i + 1) / (TOKENS + 1);
    }
    model.begin(TOKENS);
    float[] first = model.append(Arrays.copyOf(ids, TOKENS - 1));
    float[] last = model.append(new long[] {ids[TOKENS - 1]});
    float[] logits = Arrays.copyOf(first, first.length + last.length);
    System.arraycopy(last, 0, logits, first.length, last.length);
    var oracle = new Oracle(pack.architecture(), Weights.asStored(pack), precision);
    FreePass exact = FreePass.of(pack.architecture(), oracle, ids);
    // The first token is compared even if unclear: a model that fails it needs a closer look.
    return Tolerance.compare(
        logits, exact.logits().toFloats(), exact.logits(), Math.max(1, exact.firstUnclear()));
  }

  private static Optional<String> line(MoxiePackage pack, Device device, Execution execution) {
    return BuildIdentity.current()
        .map(
            build -> {
              try {
                Path manifest = pack.folder().resolve(PackagePaths.MANIFEST);
                return Digests.sha256(Files.readAllBytes(manifest))
                    + " "
                    + device
                    + " "
                    + execution
                    + " "
                    + build;
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });
  }
}
