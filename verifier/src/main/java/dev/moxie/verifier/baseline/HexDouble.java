package dev.moxie.verifier.baseline;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;

/** A number that a file holds to the last bit, as {@link Double#toHexString} writes it. */
public record HexDouble(double value) {

  /** Reads a finite number; any other way to write it is an error. */
  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  static HexDouble parse(String text) {
    double value = text.startsWith("0x") || text.startsWith("-0x") ? number(text) : Double.NaN;
    if (!Double.isFinite(value) || !Double.toHexString(value).equals(text)) {
      String shown = text.length() > 40 ? text.substring(0, 40) + "…" : text;
      throw new IllegalArgumentException(
          "expected a finite number as Double.toHexString writes it, found \"" + shown + "\"");
    }
    return new HexDouble(value);
  }

  private static double number(String text) {
    try {
      return Double.parseDouble(text);
    } catch (NumberFormatException e) {
      return Double.NaN;
    }
  }

  @JsonValue
  @Override
  public String toString() {
    return Double.toHexString(value);
  }
}
