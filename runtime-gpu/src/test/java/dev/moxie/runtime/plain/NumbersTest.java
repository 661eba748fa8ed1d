package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import java.util.function.UnaryOperator;
import jdk.incubator.vector.FloatVector;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class NumbersTest {
  private static final float[] EDGES = {
    0f,
    -0f,
    Float.MIN_VALUE,
    -87.33f,
    -87.34f,
    88.72f,
    88.73f,
    104,
    -104,
    Float.MAX_VALUE,
    -Float.MAX_VALUE,
    Float.POSITIVE_INFINITY,
    Float.NEGATIVE_INFINITY,
    Float.NaN
  };

  /** Which of the two computes a number depends on where it stands. */
  @Property(tries = 200)
  void numbersSideBySideHaveTheBitsOfOneAlone(@ForAll Random random) {
    float[] x = new float[64 * Lanes.COUNT];
    for (int i = 0; i < x.length; i++) {
      x[i] =
          switch (random.nextInt(3)) {
            case 0 -> EDGES[random.nextInt(EDGES.length)];
            case 1 -> Float.intBitsToFloat(random.nextInt());
            default -> 30 * (float) random.nextGaussian();
          };
    }
    float[] exp = new float[x.length];
    float[] silu = new float[x.length];
    float[] gelu = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      exp[i] = Numbers.exp(x[i]);
      silu[i] = Numbers.silu(x[i]);
      gelu[i] = Numbers.gelu(x[i]);
    }
    assertArrayEquals(exp, sideBySide(x, Numbers::exp));
    assertArrayEquals(silu, sideBySide(x, Numbers::silu));
    assertArrayEquals(gelu, sideBySide(x, Numbers::gelu));
  }

  private static float[] sideBySide(float[] x, UnaryOperator<FloatVector> function) {
    float[] y = new float[x.length];
    for (int i = 0; i < x.length; i += Lanes.WIDTH) {
      function.apply(FloatVector.fromArray(Lanes.FLOATS, x, i)).intoArray(y, i);
    }
    return y;
  }

  @Test
  void expIsThatOfMathWithinAUnitInTheLastPlace() {
    for (float x = -87; x < 88; x += 0.01f) {
      double exact = Math.exp(x);
      assertEquals(exact, Numbers.exp(x), 1.1 * Math.ulp((float) exact), String.valueOf(x));
    }
  }
}
