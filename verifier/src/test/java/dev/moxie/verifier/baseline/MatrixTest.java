package dev.moxie.verifier.baseline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.verifier.oracle.Estimate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** What the few numbers of a matrix show of it. */
class MatrixTest {
  private static final int ROWS = 5;
  private static final int COLUMNS = 97;
  private static final double ERROR = 1e-6;

  private static float[] matrix(Random random) {
    float[] values = new float[ROWS * COLUMNS];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static List<Value> compare(float[] then, float[] now, @Nullable Estimate exact) {
    var matrix = new Matrix(now, COLUMNS, Summaries.of(now, COLUMNS), exact, ROWS);
    List<Value> values = new ArrayList<>(matrix.values(Summaries.of(then, COLUMNS)));
    values.addAll(matrix.values(Summaries.logits(then, COLUMNS).largest()));
    return values;
  }

  @Property(tries = 300)
  void anyChangedElementShowsInEveryProjectionOfItsTokenAndOfNoOther(
      @ForAll long seed, @ForAll @IntRange(max = ROWS * COLUMNS - 1) int element) {
    float[] then = matrix(new Random(seed));
    float[] now = then.clone();
    now[element] += 0.001f;
    List<Value> drifted =
        compare(then, now, Estimate.uniform(then, COLUMNS, ERROR)).stream()
            .filter(v -> !v.holds() && v.what().startsWith("projection"))
            .toList();
    assertEquals(Signs.PROJECTIONS, drifted.size());
    drifted.forEach(v -> assertEquals(element / COLUMNS, v.token()));
    drifted.forEach(v -> assertEquals(0.001, Math.abs(v.computed() - v.recorded()), 1e-6));
  }

  /** Two right implementations: independent errors of the estimated deviation on both sides. */
  @Property(tries = 300)
  void errorsAsEstimatedAreNoDrift(@ForAll long seed) {
    var random = new Random(seed);
    float[] exact = matrix(random);
    float[] then = new float[exact.length];
    float[] now = new float[exact.length];
    for (int i = 0; i < exact.length; i++) {
      then[i] = (float) (exact[i] + ERROR * random.nextGaussian());
      now[i] = (float) (exact[i] + ERROR * random.nextGaussian());
    }
    for (Value value : compare(then, now, Estimate.uniform(exact, COLUMNS, ERROR))) {
      assertTrue(value.holds(), value.toString());
    }
  }

  /** Errors that all elements share move mean and root mean square most. */
  @Property(tries = 300)
  void errorsThatElementsShareAreNoDriftOfMeanAndRootMeanSquare(@ForAll long seed) {
    var random = new Random(seed);
    float[] exact = matrix(random);
    float[] now = new float[exact.length];
    double shift = ERROR * random.nextGaussian();
    double factor = 1 + ERROR * random.nextGaussian();
    for (int i = 0; i < exact.length; i++) {
      now[i] = (float) (factor * exact[i] + shift);
    }
    for (Value value : compare(exact, now, Estimate.uniform(exact, COLUMNS, 2 * ERROR))) {
      assertTrue(value.token() != null || value.holds(), value.toString());
    }
  }

  @Property(tries = 100)
  void whatIsNoNumberIsADrift(
      @ForAll long seed, @ForAll @IntRange(max = ROWS * COLUMNS - 1) int element) {
    float[] then = matrix(new Random(seed));
    float[] now = then.clone();
    now[element] = Float.NaN;
    Baseline.Peak peak = Summaries.of(now, COLUMNS).peak();
    assertEquals(element, peak.token() * COLUMNS + peak.index());
    List<Value> values = compare(then, now, Estimate.uniform(then, COLUMNS, ERROR));
    assertTrue(values.stream().filter(v -> !v.holds()).count() >= Signs.PROJECTIONS + 2);
  }

  @Test
  void boundsAsLargeAsTheValuesLetNothingPass() {
    float[] then = matrix(new Random(1));
    float[] now = then.clone();
    now[7] += 1e-3f;
    assertTrue(
        compare(then, now, Estimate.uniform(then, COLUMNS, 1e6)).stream()
            .anyMatch(value -> !value.holds()));
    assertTrue(
        compare(then, then, Estimate.uniform(then, COLUMNS, 1e6)).stream().allMatch(Value::holds));
  }

  @Test
  void aNewLargestLogitIsADriftEvenIfTheRecordedOnesStay() {
    float[] then = matrix(new Random(2));
    float[] now = then.clone();
    Baseline.Logit largest = Summaries.logits(then, COLUMNS).largest().getFirst().getFirst();
    int word = 0;
    while (then[word] > 0) {
      word++;
    }
    now[word] = (float) largest.value().value() + 1;
    int changed = word;
    assertTrue(
        compare(then, now, Estimate.uniform(then, COLUMNS, ERROR)).stream()
            .anyMatch(
                v -> !v.holds() && v.what().equals("logit of word " + changed + ", at most")));
  }

  /** Java's own SplitMix64 starts from its seed alike; vectors hardly resemble each other. */
  @Test
  void signsAreThoseOfSplitMix64AndLookRandom() {
    var reference = new SplittableRandom(0);
    for (int i = 0; i < 1000; i++) {
      assertEquals(reference.nextLong(), Signs.output(i));
    }
    float[] ones = new float[ROWS * 10_000];
    Arrays.fill(ones, 1);
    for (int row = 0; row < ROWS; row++) {
      for (int p = 0; p < Signs.PROJECTIONS; p++) {
        // Ten deviations of a sum of 10,000 signs.
        assertTrue(Math.abs(Signs.project(ones, 10_000, row, p)) < 1000);
      }
    }
  }
}
