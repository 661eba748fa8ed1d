package dev.moxie.verifier.diagnosis;

import java.math.BigDecimal;
import java.math.MathContext;

/** Numbers as sentences have them. */
final class Words {
  private static final MathContext DIGITS = new MathContext(6);

  private Words() {}

  /** Six significant digits at most. */
  static String number(double value) {
    BigDecimal rounded = new BigDecimal(value, DIGITS).stripTrailingZeros();
    boolean plain = rounded.precision() - rounded.scale() < 9 && rounded.scale() < 7;
    return plain ? rounded.toPlainString() : rounded.toString();
  }
}
