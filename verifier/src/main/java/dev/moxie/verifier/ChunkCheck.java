package dev.moxie.verifier;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.model.Architecture;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.Opening;
import dev.moxie.runtime.plain.StoredMatrix;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.report.Figures;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;

/**
 * One sequence, cut into chunks of several lengths. A token's logits must not depend on the cut,
 * and engines choose their kernels by the number of tokens they are given, so that one length may
 * be wrong alone. The tokens that the oracle knows are held to it; those after them, which it need
 * not know, to what chunks of the length before gave.
 *
 * <p>The plain execution sums in one order whatever the cut, so it must give the same bits. It
 * multiplies up to {@link StoredMatrix#few} tokens where weights lie, two at a time and a last one,
 * and more by rows that are decoded first, four at a time and the rest one by one; lengths take
 * each of these loops, whatever that number of an encoding is. Its sequence has few words, over and
 * over, so that only a few experts are read, each for several tokens.
 *
 * <p>How far the fused one's logits of a token, as a vector, may be apart in part of their length:
 * the oracle's first tokens say how large rounding errors are, the largest stands for all, and
 * {@link Tolerance#boundOfMost} makes the bound. It binds most tokens of every {@value #STRETCH},
 * which is as many rows as kernels compute at once: where rounding decides a token's experts, its
 * logits may be any.
 */
final class ChunkCheck {
  /** Decoding, short prompts, and what is between prompts and whole contexts. */
  private static final List<Integer> FUSED_LENGTHS = List.of(1, 3, 16, 64, 512);

  private static final List<Integer> PLAIN_LENGTHS = List.of(1, 3, 11, 16);

  private static final int STRETCH = 64;

  /** Logits of a token that are kept: as many show a wrong row as well as all do. */
  private static final int KEPT = 4096;

  /** What a direct buffer may hold, in float32. */
  private static final int LARGEST_RESULT = Integer.MAX_VALUE / Float.BYTES;

  private final Execution execution;
  private final String where;
  private final String remedy;
  private final Model model;
  private final FreePass exact;
  private final List<Integer> lengths;
  private final long[] ids;

  /**
   * A check of one model.
   *
   * @param where for messages
   * @param exact the oracle's pass over the first tokens
   * @param remedy for messages
   */
  ChunkCheck(Opening opening, String where, Model model, FreePass exact, String remedy) {
    Architecture architecture = opening.pack().architecture();
    this.execution = opening.execution();
    this.where = where;
    this.remedy = remedy;
    this.model = model;
    this.exact = exact;
    this.lengths = lengths(architecture, execution);
    int count = Math.max(lengths.getLast(), exact.logits().rows());
    this.ids =
        execution == Execution.PLAIN ? fewWords(architecture, count) : ids(architecture, count);
  }

  /** Lengths that fit the model; the longest that does stands for those that do not. */
  private static List<Integer> lengths(Architecture architecture, Execution execution) {
    long longest = Math.min(architecture.maxPositions(), LARGEST_RESULT / architecture.vocabSize());
    return all(execution).stream()
        .map(n -> (int) Math.min(n, Math.max(1, longest)))
        .distinct()
        .toList();
  }

  private static List<Integer> all(Execution execution) {
    return switch (execution) {
      case PLAIN -> PLAIN_LENGTHS;
      case FUSED, KERNELS -> FUSED_LENGTHS;
    };
  }

  /** Which lengths are not tried, and why; nothing if all are. */
  static Optional<String> untried(Architecture architecture, Execution execution) {
    List<Integer> tried = lengths(architecture, execution);
    List<String> untried =
        all(execution).stream().filter(n -> !tried.contains(n)).map(String::valueOf).toList();
    return untried.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "chunks of %s tokens were not tried, which the model does not take; %s were"
                .formatted(String.join(", ", untried), tried.getLast()));
  }

  /** The tokens that the oracle knows, then others all over the vocabulary. */
  static long[] ids(Architecture architecture, int count) {
    long[] known = LoweringCheck.tokens(architecture);
    long[] ids = Arrays.copyOf(known, count);
    for (int i = known.length; i < count; i++) {
      double turn = i * 0.6180339887498949;
      ids[i] = (long) (architecture.vocabSize() * (turn - Math.floor(turn)));
    }
    return ids;
  }

  /** The tokens that the oracle knows, again and again. */
  private static long[] fewWords(Architecture architecture, int count) {
    long[] known = LoweringCheck.tokens(architecture);
    long[] ids = new long[count];
    Arrays.setAll(ids, i -> known[i % known.length]);
    return ids;
  }

  /**
   * Feeds the sequence in every way that there is time for.
   *
   * @param spent whether there is none left
   * @return the ways that there was none for, or not to the end
   * @throws EnvironmentException if a way gives other logits than the oracle or than another way
   */
  List<Integer> require(BooleanSupplier spent) {
    List<Integer> untried = new ArrayList<>();
    Rows before = null;
    for (int length : lengths) {
      if (before != null && spent.getAsBoolean()) {
        untried.add(length);
        continue;
      }
      Rows rows = feed(length, spent);
      if (rows.logits().length < tokens(length)) {
        untried.add(length);
      }
      if (before != null) {
        requireSame(before, rows);
      }
      before = rows;
    }
    return untried;
  }

  /** Short chunks take long; one stretch of them has them all. */
  private int tokens(int chunk) {
    return chunk < STRETCH ? Math.min(STRETCH, ids.length) : ids.length;
  }

  /**
   * Some logits of each token.
   *
   * @param chunk tokens that were given at once
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one check, is never compared.
  private record Rows(int chunk, float[][] logits) {}

  private Rows feed(int chunk, BooleanSupplier spent) {
    int columns = exact.logits().columns();
    float[] known = new float[exact.logits().rows() * columns];
    List<float[]> rows = new ArrayList<>();
    LoweringCheck.feed(
        where,
        model,
        Arrays.copyOf(ids, tokens(chunk)),
        chunk,
        remedy,
        (from, logits) -> {
          int start = Math.min(known.length, from * columns);
          System.arraycopy(logits, 0, known, start, Math.min(logits.length, known.length - start));
          for (int t = 0; t < logits.length / columns; t++) {
            rows.add(sample(logits, t * columns, columns));
          }
          return rows.size() < exact.logits().rows() || !spent.getAsBoolean();
        });
    LoweringCheck.requireOracle(
        where + ", chunks of " + Figures.of(chunk, "token"), exact, known, remedy);
    return new Rows(chunk, rows.toArray(float[][]::new));
  }

  private static float[] sample(float[] logits, int from, int columns) {
    int stride = Math.ceilDiv(columns, KEPT);
    float[] sample = new float[Math.ceilDiv(columns, stride)];
    for (int i = 0; i < sample.length; i++) {
      sample[i] = logits[from + i * stride];
    }
    return sample;
  }

  private void requireSame(Rows before, Rows rows) {
    int tokens = Math.min(before.logits().length, rows.logits().length);
    int stretches = Math.max(1, tokens / STRETCH);
    for (int i = 0; i < stretches; i++) {
      requireSame(before, rows, tokens * i / stretches, tokens * (i + 1) / stretches);
    }
  }

  private void requireSame(Rows before, Rows rows, int from, int to) {
    double[] differences =
        IntStream.range(from, to)
            .mapToDouble(t -> difference(rows.logits()[t], before.logits()[t]))
            .sorted()
            .toArray();
    if (execution == Execution.PLAIN) {
      requireNone(before, rows, from, to, differences[differences.length - 1]);
      return;
    }
    // More than half exceed what this one exceeds.
    double most = differences[(differences.length - 1) / 2];
    double bound = Tolerance.boundOfMost(exact.logits().largestRelativeError(), differences.length);
    if (!(most <= bound)) {
      throw new EnvironmentException(
          "%s, tokens %d to %d in chunks of %d".formatted(where, from, to - 1, rows.chunk()),
          "most logits to be apart from those in chunks of %d by at most %s of their size"
              .formatted(before.chunk(), Figures.measured(bound)),
          Figures.measured(most),
          remedy);
    }
  }

  private void requireNone(Rows before, Rows rows, int from, int to, double largest) {
    if (largest != 0) {
      throw new EnvironmentException(
          "%s, tokens %d to %d in chunks of %d".formatted(where, from, to - 1, rows.chunk()),
          "the very logits that chunks of " + before.chunk() + " gave",
          "some that differ by " + Figures.measured(largest) + " of their size",
          remedy);
    }
  }

  /** Euclidean norm of the difference in part of that of {@code b}. */
  private static double difference(float[] a, float[] b) {
    double difference = 0;
    double size = 0;
    for (int i = 0; i < a.length; i++) {
      difference = Math.hypot(difference, (double) a[i] - b[i]);
      size = Math.hypot(size, b[i]);
    }
    return difference == 0 ? 0 : difference / size;
  }
}
