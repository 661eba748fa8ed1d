package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonProperty;
import org.jspecify.annotations.Nullable;

/**
 * Rotary position embedding (Su et al., "RoFormer", 2021, equation 34): at position p, pair i of
 * {@code dimensions}/2 pairs is turned by the angle p · theta^(−2i/dimensions).
 *
 * @param theta base of the frequencies
 * @param dimensions leading dimensions of a head that are turned; even
 * @param pairing which two dimensions make pair i
 * @param yarn stretches the frequencies to longer sequences; null leaves them
 */
public record Rotary(double theta, int dimensions, Pairing pairing, @Nullable Yarn yarn) {

  /**
   * YaRN (Peng et al., "YaRN", 2023, section 3.2 to 3.4). The frequency of pair i becomes
   *
   * <pre>
   * f_i · ((1 − γ_i) + γ_i / factor),  f_i = theta^(−2i/d),  γ_i = clamp((i − low) / (high − low))
   * low  = max(0, floor(pair(betaFast))),  high = min(d − 1, ceil(pair(betaSlow)))
   * pair(n) = d ln(originalPositions / (2π n)) / (2 ln theta)
   * </pre>
   *
   * with d = dimensions, clamp to [0, 1], and high = low + 0.001 where they are equal. Cosines and
   * sines are multiplied by {@code magnitude}, and the attention's scale by {@code softmaxFactor}.
   *
   * @param factor how many times longer
   * @param originalPositions longest sequence before, in tokens
   * @param betaFast turns over that length from which a pair keeps its frequency
   * @param betaSlow turns over that length up to which a pair is slowed by the whole factor
   * @param magnitude 1 leaves cosines and sines
   * @param softmaxFactor 1 leaves the scale
   */
  public record Yarn(
      double factor,
      long originalPositions,
      double betaFast,
      double betaSlow,
      double magnitude,
      double softmaxFactor) {
    public Yarn {
      Limits.requirePositive("rotary.yarn.factor", factor);
      Limits.require("rotary.yarn.originalPositions", originalPositions, 1, Limits.MAX_POSITIONS);
      Limits.requirePositive("rotary.yarn.betaFast", betaFast);
      Limits.requirePositive("rotary.yarn.betaSlow", betaSlow);
      Limits.requirePositive("rotary.yarn.magnitude", magnitude);
      Limits.requirePositive("rotary.yarn.softmaxFactor", softmaxFactor);
    }

    /** The same stretch with other factors. */
    public Yarn withFactors(double otherMagnitude, double otherSoftmaxFactor) {
      return new Yarn(
          factor, originalPositions, betaFast, betaSlow, otherMagnitude, otherSoftmaxFactor);
    }
  }

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
    if (yarn != null && theta == 1) {
      throw new IllegalArgumentException(
          "rotary.theta: expected another than 1 with yarn, found 1");
    }
    java.util.Objects.requireNonNull(pairing, "rotary.pairing is missing");
  }

  /** The same embedding with other pairs. */
  public Rotary withPairing(Pairing other) {
    return new Rotary(theta, dimensions, other, yarn);
  }

  /** The same embedding stretched otherwise. */
  public Rotary withYarn(@Nullable Yarn other) {
    return new Rotary(theta, dimensions, pairing, other);
  }

  /** What the attention's scale is multiplied by. */
  @JsonIgnore
  public double softmaxFactor() {
    return yarn == null ? 1 : yarn.softmaxFactor();
  }
}
