package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonProperty;

/**
 * Rotary position embedding (Su et al., "RoFormer", 2021, equation 34): at position p, pair i of
 * {@code dimensions}/2 pairs is turned by the angle p · theta^(−2i/dimensions).
 *
 * @param theta base of the frequencies
 * @param dimensions leading dimensions of a head that are turned; even
 * @param pairing which two dimensions make pair i
 */
public record Rotary(double theta, int dimensions, Pairing pairing) {

  /** Which two dimensions are turned together. */
  public enum Pairing {
    /** Dimensions i and i + dimensions/2. */
    @JsonProperty("halves")
    HALVES,
    /** Dimensions 2i and 2i + 1. */
    @JsonProperty("interleaved")
    INTERLEAVED
  }

  public Rotary {
    Limits.requirePositive("rotary.theta", theta);
    Limits.require("rotary.dimensions", dimensions, 2, Limits.MAX_WIDTH);
    if (dimensions % 2 != 0) {
      throw new IllegalArgumentException(
          "rotary.dimensions: expected an even number, found " + dimensions);
    }
    java.util.Objects.requireNonNull(pairing, "rotary.pairing is missing");
  }
}
