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
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Opening;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Words;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.LongSupplier;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Before a package first runs in some way, a few tokens of its logits are compared with the
 * oracle's: engines have silent bugs. The last token comes alone, after the others, so that the
 * cache is tried as well. Then a longer sequence is cut in several ways ({@link ChunkCheck}). A
 * pass on the CPU is remembered in a file beside the package, by manifest digest, device,
 * execution, build and machine; on CUDA kernels are chosen anew in every process, so a pass says
 * nothing of the next, and the longer sequence has a budget of time.
 */
public final class LoweringCheck implements LoweringProof {
  private static final int TOKENS = 4;
  private static final double LARGEST_HALF = 65504;

  /** For the longer sequence where every process feeds it. */
  private static final Duration BUDGET = Duration.ofSeconds(30);

  /** What is remembered of a pass, and no list of digests; see {@link #line}. */
  private static final Pattern PASS =
      Pattern.compile("[0-9a-f]{64} [A-Z]+ [A-Z]+ [0-9a-f]{64} (java|onnxruntime)-\\S+");

  private final Runnable beginning;
  private final List<String> untried = new ArrayList<>();
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
    untried.clear();
    ChunkCheck.untried(opening.pack().architecture(), opening.execution()).ifPresent(untried::add);
    if (line.isPresent() && passes.contain(line.get())) {
      took = null;
      return model;
    }
    beginning.run();
    check(opening, model, System::nanoTime).ifPresent(untried::add);
    line.ifPresent(passes::add);
    took = Duration.ofNanos(System.nanoTime() - start);
    return model;
  }

  /** How long the last model that was let through took; nothing where a pass was remembered. */
  public Optional<Duration> took() {
    return Optional.ofNullable(took);
  }

  /** What was not tried of the last model that was let through, and why; empty if all was. */
  public List<String> untried() {
    return List.copyOf(untried);
  }

  /**
   * As {@link #require}, without remembering.
   *
   * @param nanos the time, in nanoseconds since any
   * @return what there was no time for
   */
  static Optional<String> check(Opening opening, Model model, LongSupplier nanos) {
    MoxiePackage pack = opening.pack();
    Precision precision = Running.precision(opening.device(), opening.target());
    String where = pack.folder() + ", " + opening.execution() + " on " + opening.device();
    String remedy = remedy(precision);
    Architecture architecture = pack.architecture();
    Continuing.requireTokens(pack);
    FreePass exact = exact(pack, precision);
    if (architecture.encoder() != null) {
      model.read(tokens(architecture));
    }
    requireNumbers(architecture, where, precision, exact);
    requireOracle(where, exact, logits(architecture, where, model, remedy), remedy);
    long end = nanos.getAsLong() + BUDGET.toNanos();
    boolean timed = opening.device() == Device.CUDA;
    List<Integer> untried =
        architecture.looksAhead()
            ? List.of()
            : new ChunkCheck(opening, where, model, exact, remedy)
                .require(() -> timed && nanos.getAsLong() - end >= 0);
    // Forgets what it was fed, and the room for it.
    model.begin(1);
    return untried.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "chunks of %s tokens were not tried, or not to the end: the %d s for that were spent"
                .formatted(Words.numbers(untried, untried.size()), BUDGET.toSeconds()));
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
    return isHalf(precision)
        ? "use --device cpu, and report this"
        : "do not use this execution on this machine; try the other, and report this";
  }

  private static boolean isHalf(Precision precision) {
    return precision.dtype() == Dtype.F16;
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
    if (isHalf(precision) && exact.largest() > LARGEST_HALF) {
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
    var oracle = new Oracle(pack.architecture(), Weights.asStored(pack, precision), precision);
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
        // Where layers look ahead, a text is computed anew with each token, as a longer one.
        architecture.looksAhead() ? ids.length : Math.max(1, ids.length - 1),
        remedy,
        (from, next) -> {
          System.arraycopy(next, 0, logits, from * columns, next.length);
          return true;
        });
    return logits;
  }

  /** Takes the logits of some tokens, [n · V], and says whether to go on. */
  @FunctionalInterface
  interface LogitsSink {
    boolean accept(int from, float[] logits);
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
      if (!sink.accept(from, logits)) {
        return;
      }
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
