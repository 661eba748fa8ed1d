package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import org.jspecify.annotations.Nullable;

/** The second half of a decoder layer. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
@JsonSubTypes({
  @JsonSubTypes.Type(value = FeedForward.Dense.class, name = "dense"),
  @JsonSubTypes.Type(value = FeedForward.MixtureOfExperts.class, name = "mixture_of_experts")
})
public sealed interface FeedForward {

  /** The non-linearity f inside an expert. */
  enum Activation {
    /** x · sigmoid(x). */
    @JsonProperty("silu")
    SILU
  }

  /**
   * One gated network for every token: y = down(f(gate x) ∘ up x) (Shazeer, "GLU Variants Improve
   * Transformer", 2020).
   *
   * @param intermediateSize width inside
   * @param activation f
   */
  record Dense(int intermediateSize, Activation activation) implements FeedForward {
    public Dense {
      Limits.require("feedForward.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
      java.util.Objects.requireNonNull(activation, "feedForward.activation is missing");
    }
  }

  /**
   * Experts that every token uses besides its routed ones (DeepSeek-AI, "DeepSeekMoE", 2024): one
   * network as in {@link Dense}, as wide as all of them together, with the activation of the routed
   * ones.
   *
   * @param intermediateSize width inside
   */
  record SharedExperts(int intermediateSize) {
    public SharedExperts {
      Limits.require("feedForward.shared.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
    }
  }

  /**
   * Routed experts: y = Σ over chosen experts e of w_e · down_e(f(gate_e x) ∘ up_e x), with the
   * chosen set and the weights w as {@link Routing} says, plus the shared experts' output (Shazeer
   * et al., 2017; gated experts: Shazeer, "GLU Variants Improve Transformer", 2020).
   *
   * @param experts E
   * @param intermediateSize I, width inside one expert
   * @param activation f
   * @param shared null where there are none
   */
  record MixtureOfExperts(
      int experts,
      int intermediateSize,
      Activation activation,
      Routing routing,
      @Nullable SharedExperts shared)
      implements FeedForward {
    public MixtureOfExperts {
      Limits.require("feedForward.experts", experts, 1, Limits.MAX_EXPERTS);
      Limits.require("feedForward.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
      java.util.Objects.requireNonNull(activation, "feedForward.activation is missing");
      java.util.Objects.requireNonNull(routing, "feedForward.routing is missing");
      Limits.require("routing.expertsPerToken", routing.expertsPerToken(), 1, experts);
      Routing.Groups groups = routing.groups();
      if (groups != null) {
        groups.requireFit(experts, routing.expertsPerToken());
      }
    }

    /** The same experts, routed otherwise. */
    public MixtureOfExperts withRouting(Routing other) {
      return new MixtureOfExperts(experts, intermediateSize, activation, other, shared);
    }

    /** The same routed experts, without shared ones. */
    public MixtureOfExperts withoutShared() {
      return new MixtureOfExperts(experts, intermediateSize, activation, routing, null);
    }
  }
}
