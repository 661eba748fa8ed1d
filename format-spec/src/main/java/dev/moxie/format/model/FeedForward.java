package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The second half of a decoder layer. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
@JsonSubTypes({
  @JsonSubTypes.Type(value = FeedForward.Dense.class, name = "dense"),
  @JsonSubTypes.Type(value = FeedForward.MixtureOfExperts.class, name = "mixture_of_experts"),
  @JsonSubTypes.Type(value = FeedForward.None.class, name = "none")
})
public sealed interface FeedForward {

  /** The non-linearity f inside an expert. */
  enum Activation {
    /** x · sigmoid(x). */
    @JsonProperty("silu")
    SILU,
    /**
     * x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))) (Hendrycks and Gimpel, "Gaussian Error Linear
     * Units", 2016, in the approximation that it gives).
     */
    @JsonProperty("gelu_tanh")
    GELU_TANH,
    /** max(0, x) (Nair and Hinton, "Rectified Linear Units Improve RBMs", 2010). */
    @JsonProperty("relu")
    RELU,
    /** max(0, x)² (So et al., "Primer", 2021). */
    @JsonProperty("relu_squared")
    RELU_SQUARED
  }

  /** A layer has a first half alone; nor is there a norm for it. */
  record None() implements FeedForward {}

  /**
   * One network for every token: y = down(f(gate x) ∘ up x) (Shazeer, "GLU Variants Improve
   * Transformer", 2020), or y = down(f(up x)) where it has no gate (Vaswani et al., "Attention Is
   * All You Need", 2017, section 3.3).
   *
   * @param intermediateSize width inside
   * @param activation f
   * @param ungated whether there is no gate
   * @param biases whether every product with a matrix has a stored bias added to it
   * @param clamp null leaves what f and the product are given
   */
  record Dense(
      int intermediateSize,
      Activation activation,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean ungated,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean biases,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Clamp clamp)
      implements FeedForward {
    /** Gated, without biases. */
    public Dense(int intermediateSize, Activation activation) {
      this(intermediateSize, activation, false, false);
    }

    /** Without a clamp. */
    public Dense(int intermediateSize, Activation activation, boolean ungated, boolean biases) {
      this(intermediateSize, activation, ungated, biases, null);
    }

    public Dense {
      Limits.require("feedForward.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
      Objects.requireNonNull(activation, "feedForward.activation is missing");
      Clamp.requireFit(clamp, activation, ungated);
    }
  }

  /**
   * Experts that every token uses besides its routed ones (DeepSeek-AI, "DeepSeekMoE", 2024): one
   * network as in {@link Dense}, as wide as all of them together, with the activation of the routed
   * ones, and a gate where these have one.
   *
   * @param intermediateSize width inside
   * @param switched whether the network's output is multiplied by σ(switch x), one number per token
   *     (Qwen Team, "Qwen1.5-MoE", 2024); not beside mixed
   * @param clamped whether the {@link Clamp} of the routed experts is theirs, too
   * @param mixed whether c = softmax(mix x + bias), two numbers per token, multiply the sum over
   *     routed experts and the network's output (Rajbhandari et al., "DeepSpeed-MoE", 2022, section
   *     4.1.2, which adds them; microsoft/DeepSpeed {@code deepspeed/moe/layer.py}, its
   *     coefficient)
   */
  record SharedExperts(
      int intermediateSize,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean switched,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean clamped,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean mixed) {
    /** Added as they are. */
    public SharedExperts(int intermediateSize) {
      this(intermediateSize, false);
    }

    /** Without a clamp. */
    public SharedExperts(int intermediateSize, boolean switched) {
      this(intermediateSize, switched, false);
    }

    /** Added, or switched. */
    public SharedExperts(int intermediateSize, boolean switched, boolean clamped) {
      this(intermediateSize, switched, clamped, false);
    }

    public SharedExperts {
      Limits.require("feedForward.shared.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
      if (mixed && switched) {
        throw new IllegalArgumentException(
            "feedForward.shared.mixed: expected none beside switched, found both");
      }
    }
  }

  /**
   * A dense network beside the experts, for every token (Google, Gemma 4, 2026; transformers {@code
   * models/gemma4/modeling_gemma4.py}). Then the second half of a layer reads the residual stream x
   * itself, and everything in it a norm of x that has weights of its own:
   *
   * <pre>
   * l = router norm(x) / sqrt(H)
   * y = norm(dense(norm(x))) + norm(Σ over chosen experts e of w_e · expert_e(norm(x)))
   * </pre>
   *
   * <p>The network is one as in {@link Dense}, with the activation of the experts, and a gate where
   * these have one.
   *
   * @param intermediateSize width inside
   */
  record Beside(int intermediateSize) {
    public Beside {
      Limits.require("feedForward.beside.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
    }
  }

  /**
   * What stands beside the experts of a layer until they are done, so that they may be computed at
   * the same time (Cai et al., "Shortcut-connected Expert Parallelism", 2024; Meituan,
   * "LongCat-Flash Technical Report", 2025, section 2.2; transformers {@code
   * models/longcat_flash/modeling_longcat_flash.py}): a network, then the layer's attention and
   * network once more, with weights and norms of their own, written with a prime,
   *
   * <pre>
   * a = h + attention(norm(h)), x = norm(a)
   * b = a + dense(x)
   * c = b + attention'(norm'(b))
   * h = c + dense'(norm'(c)) + experts(x)
   * </pre>
   *
   * <p>Both networks are as in {@link Dense}, with the activation of the experts, and a gate where
   * these have one.
   *
   * @param intermediateSize width inside either network
   */
  record Shortcut(int intermediateSize) {
    public Shortcut {
      Limits.require(
          "feedForward.shortcut.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
    }
  }

  /**
   * Bounds of what is multiplied inside a network, and its smoother gate (OpenAI, gpt-oss, 2025;
   * transformers {@code models/gpt_oss/modeling_gpt_oss.py}): with g = min(gate x, limit) and u =
   * clamp(up x, −limit, limit), f(gate x) ∘ up x becomes g σ(sharpness · g) ∘ (u + offset).
   */
  record Clamp(double limit, double sharpness, double offset) {
    public Clamp {
      Limits.requirePositive("feedForward.clamp.limit", limit);
      Limits.requirePositive("feedForward.clamp.sharpness", sharpness);
      if (!Double.isFinite(offset)) {
        throw new IllegalArgumentException(
            "feedForward.clamp.offset: expected a finite number, found " + offset);
      }
    }

    private static void requireFit(@Nullable Clamp clamp, Activation activation, boolean ungated) {
      if (clamp != null && activation != Activation.SILU) {
        throw new IllegalArgumentException(
            "feedForward.activation: expected silu beside a clamp, found another");
      }
      if (clamp != null && ungated) {
        throw new IllegalArgumentException(
            "feedForward.ungated: expected none beside a clamp, found both");
      }
    }
  }

  /**
   * What numbers multiply the sum over routed experts, and what shared ones make, before they are
   * added. Unlike {@link Routing#scale}, the first is in no weight of an expert.
   */
  record OutputFactors(double routed, double shared) {
    public OutputFactors {
      Limits.requirePositive("feedForward.outputFactors.routed", routed);
      Limits.requirePositive("feedForward.outputFactors.shared", shared);
      if (routed == 1 && shared == 1) {
        throw new IllegalArgumentException(
            "feedForward.outputFactors: expected none where both are 1, found some");
      }
    }

    /** Factors, or null where each is 1. */
    public static @Nullable OutputFactors of(double routed, double shared) {
      return routed == 1 && shared == 1 ? null : new OutputFactors(routed, shared);
    }
  }

  /**
   * Routed experts: y = Σ over chosen experts e of w_e · down_e(f(gate_e x) ∘ up_e x), with the
   * chosen set and the weights w as {@link Routing} says, plus the shared experts' output (Shazeer
   * et al., 2017; gated experts: Shazeer, "GLU Variants Improve Transformer", 2020). Without gates,
   * down_e(f(up_e x)) (Fedus et al., "Switch Transformers", 2021).
   *
   * @param experts E
   * @param intermediateSize I, width inside one expert
   * @param activation f
   * @param ungated whether experts have no gate; not beside a clamp
   * @param clamp null leaves what f and the product are given
   * @param biases whether every product with a matrix of an expert has a stored bias added to it
   * @param shared null where there are none
   * @param beside null where no network stands beside the experts; not next to shared ones
   * @param outputFactors null where each is 1; only next to shared experts
   * @param identities how many of the experts, those of the highest ids, give back what they are
   *     given, and have no weights (Jin et al., "MoE++", 2024, on copy experts; Meituan,
   *     "LongCat-Flash Technical Report", 2025, section 2.1)
   * @param shortcut null where what experts make is all that the half makes; not next to shared
   *     ones or beside
   * @param outputBias whether a stored bias is added to the sum over routed experts; not next to
   *     shared ones or beside
   * @param byTask whether each prototype is the gate of one task over the same experts (Ma et al.,
   *     "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
   *     2018, equations 5 to 7): those of one place in every prototype are one expert, and have one
   *     set of matrices, and the sums of the prototypes, H over their number wide, stand side by
   *     side; where a token has all experts and weights multiply what they make
   */
  record MixtureOfExperts(
      int experts,
      int intermediateSize,
      Activation activation,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean ungated,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Clamp clamp,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean biases,
      Routing routing,
      @Nullable SharedExperts shared,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Beside beside,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable OutputFactors outputFactors,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) int identities,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Shortcut shortcut,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean outputBias,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean byTask)
      implements FeedForward {
    /** Experts that all have weights, and are all that the half makes. */
    public MixtureOfExperts(
        int experts,
        int intermediateSize,
        Activation activation,
        boolean ungated,
        @Nullable Clamp clamp,
        boolean biases,
        Routing routing,
        @Nullable SharedExperts shared,
        @Nullable Beside beside,
        @Nullable OutputFactors outputFactors) {
      this(
          experts,
          intermediateSize,
          activation,
          ungated,
          clamp,
          biases,
          routing,
          shared,
          beside,
          outputFactors,
          0,
          null,
          false,
          false);
    }

    /** Plain experts. */
    public MixtureOfExperts(
        int experts,
        int intermediateSize,
        Activation activation,
        Routing routing,
        @Nullable SharedExperts shared) {
      this(experts, intermediateSize, activation, false, null, false, routing, shared, null, null);
    }

    public MixtureOfExperts {
      Limits.require("feedForward.experts", experts, 1, Limits.MAX_EXPERTS);
      Limits.require("feedForward.intermediateSize", intermediateSize, 1, Limits.MAX_WIDTH);
      Objects.requireNonNull(activation, "feedForward.activation is missing");
      Objects.requireNonNull(routing, "feedForward.routing is missing");
      Limits.require("routing.expertsPerToken", routing.expertsPerToken(), 1, experts);
      if (experts % routing.sets() != 0) {
        throw new IllegalArgumentException(
            "routing.prototypes: expected a divisor of %d experts, found %d"
                .formatted(experts, routing.prototypes()));
      }
      Routing.Groups groups = routing.groups();
      if (groups != null) {
        groups.requireFit(experts, routing.expertsPerToken());
      }
      if (routing.hierarchy() != null) {
        routing.hierarchy().requireFit(experts, routing.expertsPerToken());
      }
      if (shared != null && shared.clamped() && clamp == null) {
        throw new IllegalArgumentException(
            "feedForward.shared.clamped: expected none without a clamp, found some");
      }
      Clamp.requireFit(clamp, activation, ungated);
      if (beside != null && shared != null) {
        throw new IllegalArgumentException(
            "feedForward.beside: expected none next to shared experts, found both");
      }
      if (outputFactors != null && shared != null && shared.mixed()) {
        throw new IllegalArgumentException(
            "feedForward.outputFactors: expected none beside mixed, found both");
      }
      Limits.require("feedForward.identities", identities, 0, experts - 1);
      boolean parted = groups != null || routing.prototypes() != 0 || routing.hierarchy() != null;
      if (identities > 0 && parted) {
        throw new IllegalArgumentException(
            "feedForward.identities: expected none beside groups, prototypes or a hierarchy, found"
                + " some");
      }
      if (outputBias && (shared != null || beside != null)) {
        throw new IllegalArgumentException(
            "feedForward.outputBias: expected none next to shared experts or beside, found both");
      }
      if (shortcut != null && (shared != null || beside != null)) {
        throw new IllegalArgumentException(
            "feedForward.shortcut: expected none next to shared experts or beside, found both");
      }
      boolean outputs = routing.weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_OUTPUT;
      boolean dense = routing.expertsPerToken() == experts;
      if (byTask && (routing.prototypes() == 0 || !dense || !outputs)) {
        throw new IllegalArgumentException(
            "feedForward.byTask: expected prototypes, all experts of each for a token, and weights"
                + " of their outputs beside it, found otherwise");
      }
      if (outputFactors != null && shared == null) {
        throw new IllegalArgumentException(
            "feedForward.outputFactors: expected none without shared experts, found some");
      }
    }

    /** Experts that have weights, those of the lowest ids. */
    public int weighted() {
      return experts / tasks() - identities;
    }

    /** Tasks whose gates weigh the same experts; 1 where no gate is of a task. */
    public int tasks() {
      return byTask ? routing.prototypes() : 1;
    }

    /** The expert that an id stands for: of tasks each has an id for it. */
    public int ofId(int id) {
      return byTask ? id % weighted() : id;
    }

    /** How many logits routing begins with: one of each expert, and of each gated group. */
    public int logits() {
      return routing.primaryLogits() + experts;
    }

    /** The same experts, routed otherwise. */
    public MixtureOfExperts withRouting(Routing other) {
      return Parts.with(this, "routing", other);
    }

    /** The same routed experts, without shared ones. */
    public MixtureOfExperts withoutShared() {
      return Parts.with(Parts.with(this, "outputFactors", null), "shared", null);
    }
  }
}
