package dev.moxie.verifier.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.FloatRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

/** Probabilities and divergences against values computed by hand. */
class LogSoftmaxTest {
  private static LogSoftmax of(float... logits) {
    return new LogSoftmax(logits, 0, logits.length);
  }

  @Test
  void ofEqualLogitsEveryTokenHasOneInAsManyAsThereAre() {
    LogSoftmax uniform = of(7, 7, 7, 7, 7);
    for (int v = 0; v < 5; v++) {
      assertEquals(-Math.log(5), uniform.of(v), 1e-15);
    }
    assertEquals(0, uniform.top());
  }

  /** P = (1/2, 1/2) and Q = (3/4, 1/4): 1/2 ln(2/3) + 1/2 ln 2, and 3/4 ln(3/2) + 1/4 ln(1/2). */
  @Test
  void divergenceIsTheOneComputedByHandAndHasADirection() {
    LogSoftmax p = of(0, 0);
    LogSoftmax q = of((float) Math.log(3), 0);
    assertEquals(Math.log(4.0 / 3) / 2, p.divergence(q), 1e-8);
    assertEquals(0.75 * Math.log(1.5) - 0.25 * Math.log(2), q.divergence(p), 1e-8);
  }

  @Test
  void largeLogitsDoNotOverflowAndSmallOnesDoNotVanish() {
    assertEquals(0, of(3e38f, 0, -3e38f).of(0), 0);
    assertEquals(-Math.log(2), of(-1e30f, -1e30f).of(1), 1e-15);
    LogSoftmax p = of(0, -2000);
    assertEquals(2000, of(-2000, 0).divergence(p), 1e-9);
  }

  @Test
  void aRowIsReadWhereItStands() {
    float[] rows = {9, 9, 1, 2, 4, 3, 9};
    LogSoftmax row = new LogSoftmax(rows, 2, 4);
    LogSoftmax alone = of(1, 2, 4, 3);
    assertEquals(2, row.top());
    assertEquals(alone.of(3), row.of(3), 0);
    assertEquals(0, row.divergence(alone), 0);
  }

  @Test
  void whatIsNoNumberIsSeen() {
    assertTrue(of(1, -3e38f).isFinite());
    assertFalse(of(1, Float.NaN).isFinite());
    assertFalse(of(Float.NEGATIVE_INFINITY, 1).isFinite());
  }

  @Property
  void divergenceIsNeverNegativeAndNothingFromItself(
      @ForAll @Size(40) float[] logits, @ForAll @Size(40) float[] others) {
    LogSoftmax p = of(logits);
    assertTrue(p.divergence(of(others)) >= 0);
    assertEquals(0, p.divergence(of(logits.clone())), 0);
  }

  /** However large they are: two largest ones are one half each. */
  @Property
  void probabilitiesSumToOne(@ForAll @Size(40) float[] logits) {
    LogSoftmax p = of(logits);
    assertEquals(1, IntStream.range(0, 40).mapToDouble(v -> Math.exp(p.of(v))).sum(), 1e-13);
  }

  /** A number added to all logits changes nothing that is told from rounding. */
  @Property
  void divergenceKnowsDifferencesAlone(
      @ForAll @Size(10) List<@FloatRange(min = -10, max = 10) Float> numbers) {
    float[] logits = new float[numbers.size()];
    float[] moved = new float[numbers.size()];
    for (int v = 0; v < moved.length; v++) {
      logits[v] = numbers.get(v);
      moved[v] = logits[v] + 1000;
    }
    assertEquals(0, of(logits).divergence(of(moved)), 1e-8);
  }
}
