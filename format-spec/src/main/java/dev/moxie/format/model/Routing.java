package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.moxie.format.safetensors.Dtype;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The routing equation: everything needed to get from router logits l [E] of one token to its
 * experts and their weights.
 *
 * <pre>
 * s = score(l)                                   [E]
 * S = the expertsPerToken experts of largest s; of equal ones, the lower id
 * w = s[S]; divided by (Σ w + epsilon) if normalised; times scale
 * y = Σ over e in S of w_e · expert_e(x)
 * </pre>
 *
 * Members with a single legal value stand in the manifest because a reader must not guess them; a
 * later minor version may add values, and a reader that does not know one refuses the package.
 *
 * @param expertsPerToken k
 * @param score turns logits into scores, over all experts
 * @param normalisation how the chosen scores become weights; null keeps them as they are
 * @param scale multiplies the weights, after normalisation
 * @param weightsApplyTo where a weight multiplies
 * @param capacity how many tokens an expert takes before it drops some
 * @param ties which of two equal scores is chosen
 * @param computeDtype in which scores and weights are computed
 */
public record Routing(
    int expertsPerToken,
    Score score,
    @Nullable Normalisation normalisation,
    double scale,
    WeightsApplyTo weightsApplyTo,
    Capacity capacity,
    Ties ties,
    Dtype computeDtype) {

  /** Turns logits into scores. */
  public enum Score {
    /** s_e = exp(l_e) / Σ exp(l_j), over all experts. */
    @JsonProperty("softmax")
    SOFTMAX
  }

  /**
   * w = w / (Σ w + epsilon).
   *
   * @param epsilon at least 0
   */
  public record Normalisation(double epsilon) {
    public Normalisation {
      if (!(epsilon >= 0) || Double.isInfinite(epsilon)) {
        throw new IllegalArgumentException(
            "routing.normalisation.epsilon: expected a finite number from 0, found " + epsilon);
      }
    }
  }

  /** Where a weight multiplies. */
  public enum WeightsApplyTo {
    @JsonProperty("expert_output")
    EXPERT_OUTPUT
  }

  /** How many tokens an expert takes. */
  public enum Capacity {
    /** No token is ever dropped. */
    @JsonProperty("unlimited")
    UNLIMITED
  }

  /** Which of two equal scores is chosen. */
  public enum Ties {
    @JsonProperty("lower_expert_id")
    LOWER_EXPERT_ID
  }

  public Routing {
    Limits.require("routing.expertsPerToken", expertsPerToken, 1, Limits.MAX_EXPERTS);
    Limits.requirePositive("routing.scale", scale);
    Objects.requireNonNull(score, "routing.score is missing");
    Objects.requireNonNull(weightsApplyTo, "routing.weightsApplyTo is missing");
    Objects.requireNonNull(capacity, "routing.capacity is missing");
    Objects.requireNonNull(ties, "routing.ties is missing");
    if (computeDtype != Dtype.F32) {
      throw new IllegalArgumentException(
          "routing.computeDtype: expected F32, found " + computeDtype);
    }
  }
}
