package dev.moxie.verifier.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Locale;

/** Numbers as people read them, the same wherever the user lives. */
public final class Figures {
  private static final MathContext DIGITS = new MathContext(6);

  private Figures() {}

  /** As {@link String#format}. */
  public static String text(String format, Object... arguments) {
    return String.format(Locale.ROOT, format, arguments);
  }

  /** A count, with commas. */
  public static String count(long count) {
    return text("%,d", count);
  }

  /** A measured number in three digits, like {@code 1.53e-05}. */
  public static String measured(double value) {
    return text("%.2e", value);
  }

  /** A number near one, in two decimals. */
  public static String decimal(double value) {
    return text("%.2f", value);
  }

  /** A part of a whole: 0.123 is {@code 12 %}. Small ones keep two digits. */
  public static String percent(double share) {
    double percent = 100 * share;
    if (!Double.isFinite(percent)) {
      return Double.isNaN(percent) ? "no number" : "infinite";
    }
    String format = percent == 0 || percent >= 9.95 ? "%,.0f %%" : "%.2g %%";
    return text(percent >= 1e6 ? "%.1e %%" : format, percent);
  }

  /** A count with its noun, as in {@code 1 token} and {@code 2 tokens}. */
  public static String of(long count, String noun) {
    return count(count) + " " + noun + (count == 1 ? "" : "s");
  }

  /** A number in at most six digits, without zeros that say nothing. */
  public static String number(double value) {
    if (!Double.isFinite(value)) {
      return String.valueOf(value);
    }
    BigDecimal rounded = new BigDecimal(value, DIGITS).stripTrailingZeros();
    boolean plain = rounded.precision() - rounded.scale() < 9 && rounded.scale() < 7;
    return plain ? rounded.toPlainString() : rounded.toString();
  }
}
