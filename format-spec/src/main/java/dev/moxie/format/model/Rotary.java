package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Rotary position embedding (Su et al., "RoFormer", 2021, equation 34): at position p, pair i of
 * {@code dimensions}/2 pairs is turned by the angle p · theta^(−2i/dimensions).
 *
 * @param theta base of the frequencies
 * @param dimensions leading dimensions of a head that are turned; even
 * @param pairing which two dimensions make pair i
 * @param scaling stretches the frequencies f_i = theta^(−2i/dimensions) to longer sequences; null
 *     leaves them
 */
public record Rotary(
    double theta,
    int dimensions,
    Pairing pairing,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Scaling scaling) {

  /** What makes frequencies serve longer sequences. */
  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
  @JsonSubTypes({
    @JsonSubTypes.Type(value = Linear.class, name = "linear"),
    @JsonSubTypes.Type(value = Llama3.class, name = "llama3"),
    @JsonSubTypes.Type(value = LongRope.class, name = "longrope"),
    @JsonSubTypes.Type(value = Proportional.class, name = "proportional"),
    @JsonSubTypes.Type(value = Yarn.class, name = "yarn")
  })
  public sealed interface Scaling {
    /** What the attention's scale is multiplied by. */
    @JsonIgnore
    default double attention() {
      return 1;
    }
  }

  /**
   * f_i / factor: every position counts for less (Chen et al., "Extending Context Window of Large
   * Language Models via Positional Interpolation", 2023).
   *
   * @param factor how many times longer
   */
  public record Linear(double factor) implements Scaling {
    public Linear {
      Limits.requirePositive("rotary.scaling.factor", factor);
    }
  }

  /**
   * Slows the slow pairs alone (Llama 3.1; transformers {@code modeling_rope_utils.py}, {@code
   * _compute_llama3_parameters}): with n_i = originalPositions · f_i / 2π turns over the old
   * length,
   *
   * <pre>
   * f_i                                      n_i &gt; highFrequency
   * f_i / factor                             n_i &lt; lowFrequency
   * f_i · (γ + (1 − γ) / factor)             between, γ = (n_i − low) / (high − low)
   * </pre>
   *
   * <p>Where the two are equal, nothing is between, and a pair that turns just as often is slowed.
   *
   * @param factor how many times longer
   * @param lowFrequency turns below which a pair is slowed by the whole factor
   * @param highFrequency turns above which a pair is left, at least lowFrequency
   * @param originalPositions longest sequence before, in tokens
   */
  public record Llama3(
      double factor, double lowFrequency, double highFrequency, long originalPositions)
      implements Scaling {
    public Llama3 {
      Limits.requirePositive("rotary.scaling.factor", factor);
      Limits.requirePositive("rotary.scaling.lowFrequency", lowFrequency);
      Limits.requirePositive("rotary.scaling.highFrequency", highFrequency);
      Limits.require(
          "rotary.scaling.originalPositions", originalPositions, 1, Limits.MAX_POSITIONS);
      if (highFrequency < lowFrequency) {
        throw new IllegalArgumentException(
            "rotary.scaling.highFrequency: expected at least lowFrequency "
                + lowFrequency
                + ", found "
                + highFrequency);
      }
    }
  }

  /**
   * f_i / factors[i], cosines and sines times {@code magnitude} (Ding et al., "LongRoPE: Extending
   * LLM Context Window Beyond 2 Million Tokens", 2024).
   *
   * @param factors one for each pair
   */
  public record LongRope(List<Double> factors, double magnitude) implements Scaling {
    public LongRope {
      Objects.requireNonNull(factors, "rotary.scaling.factors is missing");
      factors = List.copyOf(factors);
      factors.forEach(factor -> Limits.requirePositive("rotary.scaling.factors", factor));
      Limits.requirePositive("rotary.scaling.magnitude", magnitude);
    }
  }

  /**
   * f_i of the first pairs, the fast ones, and 0 of all others, so that these say what is meant
   * wherever it stands (Barbero et al., "Round and Round We Go! What makes Rotary Positional
   * Encodings useful?", 2024, section 6; transformers {@code modeling_rope_utils.py}, {@code
   * _compute_proportional_rope_parameters}).
   *
   * @param pairs that are turned, fewer than there are
   */
  public record Proportional(int pairs) implements Scaling {
    public Proportional {
      Limits.require("rotary.scaling.pairs", pairs, 1, Limits.MAX_WIDTH);
    }
  }

  /**
   * YaRN (Peng et al., "YaRN", 2023, section 3.2 to 3.4). The frequency of pair i becomes
   *
   * <pre>
   * f_i · ((1 − γ_i) + γ_i / factor),  f_i = theta^(−2i/d),  γ_i = clamp((i − low) / (high − low))
   * low  = max(0, floor(pair(betaFast))),  high = min(d − 1, ceil(pair(betaSlow)))
   * pair(n) = d ln(originalPositions / (2π n)) / (2 ln theta)
   * </pre>
   *
   * with d = dimensions, clamp to [0, 1], and high = low + 0.001 where they are equal; with
   * exactBounds, floor and ceil are left out. Cosines and sines are multiplied by {@code
   * magnitude}, and the attention's scale by {@code softmaxFactor}.
   *
   * @param factor how many times longer
   * @param originalPositions longest sequence before, in tokens
   * @param betaFast turns over that length from which a pair keeps its frequency
   * @param betaSlow turns over that length up to which a pair is slowed by the whole factor
   * @param magnitude 1 leaves cosines and sines
   * @param softmaxFactor 1 leaves the scale
   * @param exactBounds whether low and high stay between pairs
   */
  public record Yarn(
      double factor,
      long originalPositions,
      double betaFast,
      double betaSlow,
      double magnitude,
      double softmaxFactor,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean exactBounds)
      implements Scaling {
    /** With bounds that are whole pairs. */
    public Yarn(
        double factor,
        long originalPositions,
        double betaFast,
        double betaSlow,
        double magnitude,
        double softmaxFactor) {
      this(factor, originalPositions, betaFast, betaSlow, magnitude, softmaxFactor, false);
    }

    public Yarn {
      Limits.requirePositive("rotary.scaling.factor", factor);
      Limits.require(
          "rotary.scaling.originalPositions", originalPositions, 1, Limits.MAX_POSITIONS);
      Limits.requirePositive("rotary.scaling.betaFast", betaFast);
      Limits.requirePositive("rotary.scaling.betaSlow", betaSlow);
      Limits.requirePositive("rotary.scaling.magnitude", magnitude);
      Limits.requirePositive("rotary.scaling.softmaxFactor", softmaxFactor);
    }

    /** The same stretch with other factors. */
    public Yarn withFactors(double otherMagnitude, double otherSoftmaxFactor) {
      return new Yarn(
          factor,
          originalPositions,
          betaFast,
          betaSlow,
          otherMagnitude,
          otherSoftmaxFactor,
          exactBounds);
    }

    @Override
    public double attention() {
      return softmaxFactor;
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
    if (scaling instanceof LongRope rope && rope.factors().size() != dimensions / 2) {
      throw new IllegalArgumentException(
          "rotary.scaling.factors: expected one for each of %d pairs, found %d"
              .formatted(dimensions / 2, rope.factors().size()));
    }
    if (scaling instanceof Proportional some && some.pairs() >= dimensions / 2) {
      throw new IllegalArgumentException(
          "rotary.scaling.pairs: expected fewer than all of %d, found %d"
              .formatted(dimensions / 2, some.pairs()));
    }
    if (scaling instanceof Yarn && theta == 1) {
      throw new IllegalArgumentException(
          "rotary.theta: expected another than 1 with yarn, found 1");
    }
    Objects.requireNonNull(pairing, "rotary.pairing is missing");
  }

  /** The same embedding with other pairs. */
  public Rotary withPairing(Pairing other) {
    return new Rotary(theta, dimensions, other, scaling);
  }

  /** The same embedding stretched otherwise. */
  public Rotary withScaling(@Nullable Scaling other) {
    return new Rotary(theta, dimensions, pairing, other);
  }

  /** What cosines and sines are multiplied by. */
  @JsonIgnore
  public double magnitude() {
    return switch (scaling) {
      case Yarn yarn -> yarn.magnitude();
      case LongRope rope -> rope.magnitude();
      case Linear linear -> 1;
      case Llama3 llama -> 1;
      case Proportional some -> 1;
      case null -> 1;
    };
  }

  /** What the attention's scale is multiplied by. */
  @JsonIgnore
  public double softmaxFactor() {
    return scaling == null ? 1 : scaling.attention();
  }
}
