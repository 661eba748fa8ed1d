package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Rotary;
import dev.moxie.runtime.plain.RotaryAngles;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How many roundings an angle is allowed, where a ramp makes much of them. */
class FrequenciesTest {
  private static final int SIZE = 128;
  private static final double ROUNDOFF = 0x1p-24;

  @ParameterizedTest
  @ValueSource(doubles = {1.001, 1.05, 1.5, 4})
  void aSteepRampBetweenFrequenciesIsWithinItsBound(double high) {
    double worst = 0;
    for (double theta = 100; theta < 1e6; theta *= 1.01) {
      var scaling = new Rotary.Llama3(16, 1, high, 8192);
      var rotary = new Rotary(theta, SIZE, Rotary.Pairing.HALVES, scaling);
      var angles = new RotaryAngles(rotary);
      for (int pair = 0; pair < SIZE / 2; pair++) {
        double exact = Frequencies.of(rotary, pair);
        // The angle of position 1; small ones are as exact as their sines.
        double angle = Math.atan2(angles.sin(1, pair), angles.cos(1, pair));
        double bound = (Frequencies.roundings(rotary, pair) + 1) * ROUNDOFF * exact;
        worst = Math.max(worst, Math.abs(angle - exact) / bound);
      }
    }
    assertTrue(worst <= 1 && worst >= 0.05, "error over bound: " + worst);
  }

  @Test
  void equalFrequenciesLeaveNothingBetween() {
    var scaling = new Rotary.Llama3(16, 1, 1, 8192);
    var rotary = new Rotary(500_000, SIZE, Rotary.Pairing.INTERLEAVED, scaling);
    var plain = new Rotary(500_000, SIZE, Rotary.Pairing.INTERLEAVED, null);
    var angles = new RotaryAngles(rotary);
    for (int pair = 0; pair < SIZE / 2; pair++) {
      double frequency = Frequencies.of(plain, pair);
      boolean slow = 8192 * frequency < 2 * Math.PI;
      assertEquals(slow ? frequency / 16 : frequency, Frequencies.of(rotary, pair));
      assertEquals(
          Frequencies.of(rotary, pair),
          angles.sin(1, pair),
          1e-5 * frequency + frequency * frequency);
    }
  }
}
