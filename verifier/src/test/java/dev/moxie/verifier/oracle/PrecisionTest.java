package dev.moxie.verifier.oracle;

import static org.junit.jupiter.api.Assertions.assertEquals;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

class PrecisionTest {
  @Property
  void unitsInTheLastPlaceArePowersOfTwo(@ForAll Precision precision, @ForAll float value) {
    if (value != 0) {
      double ulp = precision.ulp(value);
      assertEquals(Math.scalb(1.0, Math.getExponent(ulp)), ulp);
      assertEquals(precision.round(value), precision.round(precision.round(value)));
    }
  }

  @Property
  void onlyWhatIsRoundedOffHasADeviation(@ForAll Precision precision, @ForAll float value) {
    double expected = precision.round(value) == value ? 0 : precision.deviation(value);
    assertEquals(expected, precision.roundedOff(value));
  }
}
