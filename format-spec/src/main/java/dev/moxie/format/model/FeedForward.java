package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;

/** The second half of a decoder layer. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
@JsonSubTypes(
    @JsonSubTypes.Type(value = FeedForward.MixtureOfExperts.class, name = "mixture_of_experts"))
public sealed interface FeedForward {

  /** The non-linearity f inside an expert. */
  enum Activation {
    /** x · sigmoid(x). */
    @JsonProperty("silu")
    SILU
  }

  /**
   * Routed experts: y = Σ over chosen experts e of w_e · down_e(f(gate_e x) ∘ up_e x), with the
   * chosen set and the weights w as {@link Routing} says (Shazeer et al., 2017; gated experts:
   * Shazeer, "GLU Variants Improve Transformer", 2020).
   *
   * @param experts E
   * @param intermediateSize I, width inside one expert
   * @param activation f
   */
  record MixtureOfExperts(int experts, int intermediateSize, Activation activation, Routing routing)
      implements FeedForward {
    public MixtureOfExperts {
      Limits.require("feedForward.experts", experts, 1, Limits.MAX_EXPERTS);
      Limits.require("feedForward.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
      java.util.Objects.requireNonNull(activation, "feedForward.activation is missing");
      java.util.Objects.requireNonNull(routing, "feedForward.routing is missing");
      Limits.require("routing.expertsPerToken", routing.expertsPerToken(), 1, experts);
    }
  }
}
