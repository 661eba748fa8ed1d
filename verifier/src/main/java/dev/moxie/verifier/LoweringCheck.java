package dev.moxie.verifier;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.file.Notes;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.execution.BuildIdentity;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Opening;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Figures;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Before a package first runs in some way, a few tokens of its logits are compared with the
 * oracle's: engines have silent bugs. The last token comes alone, after the others, so that the
 * cache is tried as well. Then a longer sequence is cut in several ways ({@link ChunkCheck}). A
 * pass on the CPU is remembered in a file beside the package, by manifest digest, device,
 * execution, build and machine; on CUDA kernels are chosen anew in every process, so a pass says
 * nothing of the next.
 */
public final class LoweringCheck implements LoweringProof {
  private static final int TOKENS = 4;
  private static final double LARGEST_HALF = 65504;

  /** What is remembered of a pass, and no list of digests; see {@link #line}. */
  private static final Pattern PASS =
      Pattern.compile("[0-9a-f]{64} [A-Z]+ [A-Z]+ [0-9a-f]{64} (java|onnxruntime)-\\S+");

  private final Runnable beginning;
  private @Nullable Duration took;

  /** A check that nobody waits for. */
  public LoweringCheck() {
    this(() -> {});
  }

  /**
   * A check.
   *
   * @param beginning is run before a model is checked, which takes a while, and not where a pass
   *     was remembered
   */
  public LoweringCheck(Runnable beginning) {
    this.beginning = beginning;
  }

  @Override
  public <M extends Model> M require(Opening opening, M model) {
    long start = System.nanoTime();
    Path folder = opening.pack().folder().toAbsolutePath().normalize();
    var passes = new Notes(folder, "checked", PASS);
    Optional<String> line = line(opening);
    if (line.isPresent() && passes.contain(line.get())) {
      took = null;
      return model;
    }
    beginning.run();
    check(opening, model);
    line.ifPresent(passes::add);
    took = Duration.ofNanos(System.nanoTime() - start);
    return model;
  }

  /** How long the last model that was let through took; nothing where a pass was remembered. */
  public Optional<Duration> took() {
    return Optional.ofNullable(took);
  }

  /** As {@link #require}, without remembering. */
  static void check(Opening opening, Model model) {
    MoxiePackage pack = opening.pack();
    Precision precision = opening.target().compute() == Dtype.F16 ? Precision.F16 : Precision.F32;
    String where = pack.folder() + ", " + opening.execution() + " on " + opening.device();
    String remedy = remedy(precision);
    Architecture architecture = pack.architecture();
    FreePass exact = exact(pack, precision);
    requireNumbers(architecture, where, precision, exact);
    requireOracle(where, exact, logits(architecture, where, model, remedy), remedy);
    new ChunkCheck(opening, where, model, exact, remedy).require();
    // Forgets what it was fed, and the room for it.
    model.begin(1);
  }

  /** What {@link #require} does not try of a model, and why; nothing if it tries all. */
  public static Optional<String> untried(Architecture architecture, Execution execution) {
    return ChunkCheck.untried(architecture, execution);
  }

  /**
   * Holds the first tokens' logits to the oracle's.
   *
   * @throws EnvironmentException if they differ
   */
  static void requireOracle(String where, FreePass exact, float[] logits, String remedy) {
    Comparison comparison = compare(logits, exact);
    if (!comparison.telling() && comparison.worst().ratio() <= 1) {
      throw new UnsupportedException(
          where,
          "logits that rounding does not decide",
          "errors of rounding up to "
              + Figures.measured(comparison.bound())
              + ", as large as the logits",
          "nothing can be said of what these weights compute; --device cpu rounds least");
    }
    if (!comparison.verdict().passed()) {
      throw new EnvironmentException(
          where,
          "logits within " + comparison.worst().bound() + " of the oracle's",
          "a difference of "
              + Math.abs(comparison.worst().actual() - comparison.worst().expected()),
          remedy);
    }
  }

  private static String remedy(Precision precision) {
    return precision == Precision.F16
        ? "use --device cpu, and report this"
        : "do not use this execution on this machine; try the other, and report this";
  }

  /** What no right engine can compute either is not the engine's fault. */
  private static void requireNumbers(
      Architecture architecture, String where, Precision precision, FreePass exact) {
    // A norm sums the squares of a hidden state in float32.
    double square = Math.sqrt(Float.MAX_VALUE / architecture.hiddenSize());
    if (!exact.logits().isFinite() || !(exact.largest() <= square)) {
      throw new UnsupportedException(
          where,
          "numbers that are finite in float32",
          exact.logits().isFinite()
              ? "hidden states up to " + Figures.measured(exact.largest())
              : "logits that are not, in double precision either",
          "these weights compute nothing; moxie verify --source says whether the checkpoint's are"
              + " the same");
    }
    if (precision == Precision.F16 && exact.largest() > LARGEST_HALF) {
      throw new EnvironmentException(
          where,
          "hidden states that float16 holds, up to " + Figures.number(LARGEST_HALF),
          "some of " + Figures.measured(exact.largest()),
          "use --device cpu, which computes in float32");
    }
  }

  /** The first tokens that are tried. */
  static long[] tokens(Architecture architecture) {
    int count = (int) Math.min(TOKENS, architecture.maxPositions());
    long[] ids = new long[count];
    for (int i = 0; i < count; i++) {
      ids[i] = (long) architecture.vocabSize() * (i + 1) / (count + 1);
    }
    return ids;
  }

  private static FreePass exact(MoxiePackage pack, Precision precision) {
    var oracle = new Oracle(pack.architecture(), Weights.asStored(pack), precision);
    return FreePass.of(pack.architecture(), oracle, tokens(pack.architecture()));
  }

  /** Compares the first tokens with the oracle's. */
  static Comparison compare(MoxiePackage pack, Model model, Precision precision) {
    String where = pack.folder().toString();
    float[] logits = logits(pack.architecture(), where, model, remedy(precision));
    return compare(logits, exact(pack, precision));
  }

  /** Compares the tokens before the first whose routing rounding may decide otherwise. */
  private static Comparison compare(float[] logits, FreePass exact) {
    // The first token is compared even if unclear: a model that fails it needs a closer look.
    int rows = Math.max(1, exact.firstUnclear());
    return Tolerance.compare(logits, exact.logits().toFloats(), exact.logits(), rows);
  }

  /** Logits of the first tokens, the last of which comes alone. */
  private static float[] logits(
      Architecture architecture, String where, Model model, String remedy) {
    long[] ids = tokens(architecture);
    int columns = architecture.vocabSize();
    float[] logits = new float[ids.length * columns];
    feed(
        where,
        model,
        ids,
        Math.max(1, ids.length - 1),
        remedy,
        (from, next) -> System.arraycopy(next, 0, logits, from * columns, next.length));
    return logits;
  }

  /** Takes the logits of some tokens, [n · V]. */
  @FunctionalInterface
  interface LogitsSink {
    void accept(int from, float[] logits);
  }

  /**
   * Feeds a sequence, so many tokens at once.
   *
   * @throws EnvironmentException if a logit is no finite number
   */
  static void feed(
      String where, Model model, long[] ids, int chunk, String remedy, LogitsSink sink) {
    model.begin(ids.length);
    for (int from = 0; from < ids.length; from += chunk) {
      int to = Math.min(from + chunk, ids.length);
      float[] logits = model.append(Arrays.copyOfRange(ids, from, to));
      for (float logit : logits) {
        if (!Float.isFinite(logit)) {
          throw new EnvironmentException(
              where + ", tokens " + from + " to " + (to - 1),
              "logits that are finite numbers, as the oracle's are",
              String.valueOf(logit),
              remedy);
        }
      }
      sink.accept(from, logits);
    }
  }

  /** What to remember a pass by; nothing where the next process may compute otherwise. */
  private static Optional<String> line(Opening opening) {
    if (opening.device() != Device.CPU
        || !opening.target().equals(opening.device().target())
        || opening.permuted()) {
      return Optional.empty();
    }
    Path manifest = opening.pack().folder().resolve(PackagePaths.MANIFEST);
    return BuildIdentity.current(opening.execution())
        .map(
            build ->
                String.join(
                    " ",
                    digest(manifest),
                    opening.device().name(),
                    opening.execution().name(),
                    build));
  }

  private static String digest(Path file) {
    try {
      return Digests.sha256(Files.readAllBytes(file));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
