package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import dev.moxie.format.safetensors.Dtype;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The routing equation: everything needed to get from router logits l [E] of one token to its
 * experts and their weights.
 *
 * <pre>
 * l = router x, plus the stored bias b where it is one of logits; 1 where there is no router; or
 *     cosines of angles between a projection of x and the router's rows, times a stored number
 * l = cap · tanh(l / cap), where they are capped
 * s = score(l)                                   [E]
 * c = s + b, where b is one of scores            [E]
 * c = masked outside the kept groups, where there are groups
 * S = the expertsPerToken experts of largest c, or of each prototype its share of them; of equal
 *     ones, the lower id
 * w = s[S], or c[S] if b touches the weights
 * D = those of S that are dropped, where an expert takes no more than some tokens
 * w = 0 in D, before they are normalised or after
 * w = w / (max(Σ w, least) + epsilon), if normalised, or what a mixer makes of s; then times scale
 * w = f[S] ∘ w, where experts have stored factors f [E]
 * y = Σ over e in S of w_e · expert_e(x), or of expert_e(w_e · x)
 * </pre>
 *
 * Members with a single legal value stand in the manifest because a reader must not guess them; a
 * later minor version may add values, and a reader that does not know one refuses the package.
 *
 * @param expertsPerToken k
 * @param score turns logits into scores, each over all experts
 * @param bias what a stored bias per expert touches; null where there is none
 * @param groups limits the choice to some groups of experts; null leaves all to choose from
 * @param normalisation how the chosen scores become weights; null keeps them as they are
 * @param mixer how else they do; null where nothing else is said
 * @param scale multiplies the weights, after normalisation
 * @param weightsApplyTo where a weight multiplies
 * @param capacity how many tokens an expert takes before it drops some
 * @param ties which of two equal scores is chosen
 * @param computeDtype in which scores and weights are computed
 * @param assigned whether a token's experts are those that a stored table has for its id, whatever
 *     the scores, which weigh them (Roller et al., "Hash Layers For Large Sparse Models", 2021)
 * @param factors whether each expert has a stored factor of its weights
 * @param logitCap what logits are held below; null leaves them
 * @param drops what becomes of tokens beyond the capacity; null where that is unlimited
 * @param prototypes sets of experts with neighbouring ids, as many in each (Yang et al., "M6-T:
 *     Exploring Sparse Expert Models and Beyond", 2021, on expert prototyping): a softmax is over
 *     the experts of one, and as many are chosen from each; 0 where all experts are one set
 * @param cosine how logits come of angles; null where they are products
 * @param hierarchy how gates of two levels choose and weigh; null where there is one
 */
public record Routing(
    int expertsPerToken,
    Score score,
    @Nullable Bias bias,
    @Nullable Groups groups,
    @Nullable Normalisation normalisation,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Mixer mixer,
    double scale,
    WeightsApplyTo weightsApplyTo,
    Capacity capacity,
    Ties ties,
    Dtype computeDtype,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean assigned,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean factors,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double logitCap,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Drops drops,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) int prototypes,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Cosine cosine,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Hierarchy hierarchy) {

  /** Turns logits into scores. */
  public enum Score {
    /** s_e = exp(l_e) / Σ exp(l_j), over all experts. */
    @JsonProperty("softmax")
    SOFTMAX,
    /** s_e = 1 / (1 + exp(−l_e)). */
    @JsonProperty("sigmoid")
    SIGMOID,
    /** s_e = l_e. */
    @JsonProperty("identity")
    IDENTITY,
    /** s_e = sqrt(ln(1 + exp(l_e))) (DeepSeek-AI, "DeepSeek-V4", 2026). */
    @JsonProperty("sqrt_softplus")
    SQRT_SOFTPLUS,
    /** s_e = 1: there is no router, and a table assigns experts. */
    @JsonProperty("one")
    ONE
  }

  /** What the stored bias touches. */
  public enum Bias {
    /** The choice alone: weights come from the scores without it. */
    @JsonProperty("selection")
    SELECTION,
    /** Choice and weights. */
    @JsonProperty("selection_and_weights")
    SELECTION_AND_WEIGHTS,
    /** The logits themselves, hence choice and weights. */
    @JsonProperty("logits")
    LOGITS;

    /** Whether it is added to scores, not to logits. */
    public boolean isOfScores() {
      return this != LOGITS;
    }
  }

  /**
   * Group-limited choice (DeepSeek-AI, "DeepSeek-V2", 2024, section 2.2.2, and "DeepSeek-V3", 2024,
   * section 2.1.2): experts with neighbouring ids form {@code count} groups of equal size; only the
   * {@code kept} groups of largest aggregate are chosen from, of equal ones the lower.
   *
   * @param count divides the number of experts
   * @param kept from 1 to count
   * @param aggregate from the values c of a group's experts to one number
   * @param maskValue what c becomes outside the kept groups
   */
  public record Groups(int count, int kept, Aggregate aggregate, MaskValue maskValue) {

    /** A group's one number. */
    public enum Aggregate {
      @JsonProperty("maximum")
      MAXIMUM,
      @JsonProperty("sum_of_top_two")
      SUM_OF_TOP_TWO
    }

    /** What keeps an expert from being chosen. */
    public enum MaskValue {
      /** Less than any score of a softmax or sigmoid, but not than a biased one. */
      @JsonProperty("zero")
      ZERO,
      @JsonProperty("negative_infinity")
      NEGATIVE_INFINITY
    }

    public Groups {
      Limits.require("routing.groups.count", count, 1, Limits.MAX_EXPERTS);
      Limits.require("routing.groups.kept", kept, 1, count);
      Objects.requireNonNull(aggregate, "routing.groups.aggregate is missing");
      Objects.requireNonNull(maskValue, "routing.groups.maskValue is missing");
    }

    /** Refuses groups that do not divide the experts, or leave too few to choose from. */
    void requireFit(int experts, int expertsPerToken) {
      int size = experts / count;
      if (experts % count != 0) {
        throw new IllegalArgumentException(
            "routing.groups.count: expected a divisor of " + experts + " experts, found " + count);
      }
      if (aggregate == Aggregate.SUM_OF_TOP_TWO && size < 2) {
        throw new IllegalArgumentException(
            "routing.groups.count: expected groups of two experts or more, found groups of one");
      }
      if ((long) kept * size < expertsPerToken) {
        throw new IllegalArgumentException(
            "routing.groups.kept: expected groups that hold at least "
                + expertsPerToken
                + " experts, found "
                + kept
                + " groups of "
                + size);
      }
    }
  }

  /**
   * w = w / (max(Σ w, least) + epsilon).
   *
   * @param epsilon at least 0
   * @param least above 0; null leaves the sum as it is
   */
  public record Normalisation(
      double epsilon, @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double least) {
    /** By the sum and epsilon alone. */
    public Normalisation(double epsilon) {
      this(epsilon, null);
    }

    public Normalisation {
      if (least != null) {
        Limits.requirePositive("routing.normalisation.least", least);
      }
      if (!(epsilon >= 0) || Double.isInfinite(epsilon)) {
        throw new IllegalArgumentException(
            "routing.normalisation.epsilon: expected a finite number from 0, found " + epsilon);
      }
    }

    /** What weights of this sum are divided by. */
    public double divisor(double sum) {
      return (least == null ? sum : Math.max(sum, least)) + epsilon;
    }
  }

  /**
   * Weights of sparse mixing (Liu et al., "GRIN: GRadient-INformed MoE", 2024; transformers {@code
   * models/phimoe/modeling_phimoe.py}): each of the chosen competes with the experts near it,
   *
   * <pre>
   * w_e = exp(s_e) / Σ_j exp(s_j),  over j that is not chosen before e, best first, with
   *       (s_e − s_j) / max(|s_j|, s_e) ≤ tolerance
   * </pre>
   *
   * @param tolerance at least 0
   */
  public record Mixer(double tolerance) {
    public Mixer {
      if (!(tolerance >= 0) || Double.isInfinite(tolerance)) {
        throw new IllegalArgumentException(
            "routing.mixer.tolerance: expected a finite number from 0, found " + tolerance);
      }
    }

    /** Whether a value competes with a larger one. */
    public boolean isNear(double larger, double value) {
      // Zero beside zero is no number, and near.
      return !((larger - value) / Math.max(Math.abs(value), larger) > tolerance);
    }
  }

  /** Where a weight multiplies. */
  public enum WeightsApplyTo {
    @JsonProperty("expert_output")
    EXPERT_OUTPUT,
    /** Not the same, since what an expert computes is not linear. */
    @JsonProperty("expert_input")
    EXPERT_INPUT
  }

  /**
   * Logits by angles (Hwang et al., "Tutel: Adaptive Mixture-of-Experts at Scale", 2022, on the
   * cosine router; microsoft/tutel {@code tutel/gates/cosine_top.py}): with p = projection x +
   * bias,
   *
   * <pre>
   * l_e = min(exp(temperature), most) · (p / ‖p‖) · (r_e / ‖r_e‖)
   * </pre>
   *
   * of a stored temperature and the rows r_e of the router; where p or r_e is 0, so is l_e.
   *
   * @param size width of p and of the router's rows
   * @param most what the stored factor is held to
   */
  public record Cosine(int size, double most) {
    public Cosine {
      Limits.require("routing.cosine.size", size, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("routing.cosine.most", most);
    }
  }

  /**
   * Gates of two levels (Shazeer et al., "Outrageously Large Neural Networks: The Sparsely-Gated
   * Mixture-of-Experts Layer", 2017, appendix B, without the noise of training): experts with
   * neighbouring ids form groups of equal size; a primary gate keeps some groups, and in each of
   * them a secondary gate chooses as many experts:
   *
   * <pre>
   * [p; l] = [primary; router] x                   [groups + E]
   * p = softmax(p), and s = softmax(l), over the experts of each group
   * K = the kept groups of largest p
   * S = in each of K the expertsPerToken / kept experts of largest s
   * w = p_g / Σ_K p · s_e / Σ_{S in g} s, of e in group g
   * </pre>
   *
   * <p>Of equal values the lower id is chosen.
   *
   * @param groups divides the number of experts
   * @param kept divides expertsPerToken
   */
  public record Hierarchy(int groups, int kept) {
    public Hierarchy {
      Limits.require("routing.hierarchy.groups", groups, 2, Limits.MAX_EXPERTS);
      Limits.require("routing.hierarchy.kept", kept, 1, groups);
    }

    /** Refuses groups that do not divide the experts, or hold too few of them. */
    void requireFit(int experts, int expertsPerToken) {
      if (experts % groups != 0) {
        throw new IllegalArgumentException(
            "routing.hierarchy.groups: expected a divisor of %d experts, found %d"
                .formatted(experts, groups));
      }
      if (expertsPerToken / kept > experts / groups) {
        throw new IllegalArgumentException(
            "routing.hierarchy.groups: expected groups of %d experts or more, found %d"
                .formatted(expertsPerToken / kept, experts / groups));
      }
    }
  }

  /** How many tokens an expert takes. */
  public enum Capacity {
    /** No token is ever dropped. */
    @JsonProperty("unlimited")
    UNLIMITED,
    /** As {@link Drops} say. */
    @JsonProperty("limited")
    LIMITED
  }

  /**
   * Choices that an expert does not take: those of the tokens of one sequence queue at the expert
   * that they chose, and of each queue the first C are kept (Lepikhin et al., "GShard", 2020,
   * algorithm 1; Fedus et al., "Switch Transformers", 2021, section 2.2). A choice that is dropped
   * has the weight 0.
   *
   * @param tokens C; null where it is a fraction
   * @param fraction of the tokens T of the sequence: C = ⌈fraction · T⌉, or least, below 1, since
   *     one token chooses an expert once and so no more would drop none; null where it is a number
   * @param least that an expert takes where the fraction is fewer; null beside a number
   * @param order in which choices queue
   * @param afterNormalisation whether weights are normalised over all of a token's choices; else
   *     over those that are kept
   */
  public record Drops(
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer tokens,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double fraction,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer least,
      Order order,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean afterNormalisation) {

    /** In which choices queue. */
    public enum Order {
      /** First choices of all tokens, then second ones, and so on; equal ones by position. */
      @JsonProperty("choice_then_position")
      CHOICE_THEN_POSITION,
      /**
       * Likewise, but of the same rank those first whose token's first choice has the largest value
       * c; equal ones by position (Riquelme et al., "Scaling Vision with Sparse Mixture of
       * Experts", 2021, section 4.1, batch prioritized routing; google-research/vmoe {@code
       * vmoe/moe.py}).
       */
      @JsonProperty("choice_then_score")
      CHOICE_THEN_SCORE
    }

    public Drops {
      if ((tokens == null) == (fraction == null)) {
        throw new IllegalArgumentException(
            "routing.drops: expected tokens or a fraction of them, found "
                + (tokens == null ? "neither" : "both"));
      }
      if (tokens != null) {
        Limits.require("routing.drops.tokens", tokens, 1, Integer.MAX_VALUE);
      }
      if (fraction != null && !(fraction > 0 && fraction < 1)) {
        throw new IllegalArgumentException(
            "routing.drops.fraction: expected a number between 0 and 1, found " + fraction);
      }
      if (least != null) {
        Limits.require("routing.drops.least", least, 2, Integer.MAX_VALUE);
        if (tokens != null) {
          throw new IllegalArgumentException(
              "routing.drops.least: expected none beside a number of tokens, found some");
        }
      }
      Objects.requireNonNull(order, "routing.drops.order is missing");
    }

    /** So many tokens of a sequence, or those of a fraction of it. */
    public Drops(@Nullable Integer tokens, @Nullable Double fraction, boolean afterNormalisation) {
      this(tokens, fraction, null, Order.CHOICE_THEN_POSITION, afterNormalisation);
    }

    /**
     * Whether what becomes of a token depends on tokens after it: on how many there are, on how
     * good their choices are, or on the first choices of all of them, before which none of its
     * second ones is taken.
     */
    public boolean looksAhead(int expertsPerToken) {
      return fraction != null || expertsPerToken > 1 || order == Order.CHOICE_THEN_SCORE;
    }

    /** Tokens of a sequence that an expert takes, C. */
    public int capacity(int length) {
      if (tokens != null) {
        return tokens;
      }
      int part = (int) Math.ceil(Objects.requireNonNull(fraction) * length);
      return least == null ? part : Math.max(least, part);
    }
  }

  /** Which of two equal scores is chosen. */
  public enum Ties {
    @JsonProperty("lower_expert_id")
    LOWER_EXPERT_ID
  }

  /** Without a mixer, a table, factors or a cap. */
  public Routing(
      int expertsPerToken,
      Score score,
      @Nullable Bias bias,
      @Nullable Groups groups,
      @Nullable Normalisation normalisation,
      double scale,
      WeightsApplyTo weightsApplyTo,
      Capacity capacity,
      Ties ties,
      Dtype computeDtype) {
    this(
        expertsPerToken,
        score,
        bias,
        groups,
        normalisation,
        null,
        scale,
        weightsApplyTo,
        capacity,
        ties,
        computeDtype,
        false,
        false,
        null,
        null,
        0,
        null,
        null);
  }

  public Routing {
    Limits.require("routing.expertsPerToken", expertsPerToken, 1, Limits.MAX_EXPERTS);
    Limits.requirePositive("routing.scale", scale);
    if (logitCap != null) {
      Limits.requirePositive("routing.logitCap", logitCap);
    }
    Objects.requireNonNull(score, "routing.score is missing");
    Objects.requireNonNull(weightsApplyTo, "routing.weightsApplyTo is missing");
    Objects.requireNonNull(capacity, "routing.capacity is missing");
    Objects.requireNonNull(ties, "routing.ties is missing");
    if (bias != null
        && bias.isOfScores()
        && groups != null
        && groups.maskValue() == Groups.MaskValue.ZERO) {
      throw new IllegalArgumentException(
          "routing.groups.maskValue: expected negative_infinity beside a bias, which may make"
              + " values negative, found zero");
    }
    if ((score == Score.IDENTITY) != (mixer != null)) {
      throw new IllegalArgumentException(
          "routing.score: expected identity where there is a mixer and only there, found "
              + score.name().toLowerCase(Locale.ROOT));
    }
    boolean biased = bias != null && bias.isOfScores();
    if (mixer != null && (biased || groups != null || normalisation != null)) {
      throw new IllegalArgumentException(
          "routing.mixer: expected no bias of scores, groups or normalisation beside it, found"
              + " some");
    }
    if (assigned && (bias != null || groups != null || mixer != null)) {
      throw new IllegalArgumentException(
          "routing.assigned: expected no bias, groups or mixer beside a table, found some");
    }
    if (score == Score.ONE && (!assigned || logitCap != null)) {
      throw new IllegalArgumentException(
          "routing.score: expected a table, and no logitCap, beside one, found otherwise");
    }
    if (cosine != null && (bias == Bias.LOGITS || score == Score.ONE)) {
      throw new IllegalArgumentException(
          "routing.cosine: expected no bias of logits, and a router, beside it, found otherwise");
    }
    if (prototypes != 0) {
      Limits.require("routing.prototypes", prototypes, 2, expertsPerToken);
      if (expertsPerToken % prototypes != 0) {
        throw new IllegalArgumentException(
            "routing.prototypes: expected a divisor of expertsPerToken "
                + expertsPerToken
                + ", found "
                + prototypes);
      }
      if (assigned || groups != null || mixer != null) {
        throw new IllegalArgumentException(
            "routing.prototypes: expected no table, groups or mixer beside them, found some");
      }
    }
    if (hierarchy != null) {
      if (expertsPerToken % hierarchy.kept() != 0) {
        throw new IllegalArgumentException(
            "routing.hierarchy.kept: expected a divisor of expertsPerToken %d, found %d"
                .formatted(expertsPerToken, hierarchy.kept()));
      }
      boolean others = bias != null || groups != null || normalisation != null || drops != null;
      if (others
          || assigned
          || factors
          || logitCap != null
          || prototypes != 0
          || cosine != null
          || score != Score.SOFTMAX) {
        throw new IllegalArgumentException(
            "routing.hierarchy: expected softmax, scale and where weights apply, and nothing else,"
                + " beside it, found more");
      }
    }
    if ((capacity == Capacity.LIMITED) != (drops != null)) {
      throw new IllegalArgumentException(
          "routing.capacity: expected limited where there are drops and only there, found "
              + capacity.name().toLowerCase(Locale.ROOT));
    }
    if (drops != null && (mixer != null || weightsApplyTo == WeightsApplyTo.EXPERT_INPUT)) {
      throw new IllegalArgumentException(
          "routing.drops: expected no mixer, and weights of experts' outputs, beside them, found"
              + " others");
    }
    if (drops != null
        && !drops.afterNormalisation()
        && normalisation != null
        && !(normalisation.divisor(0) > 0)) {
      throw new IllegalArgumentException(
          "routing.normalisation: expected an epsilon or a least sum above 0 where all of a"
              + " token's choices may be dropped, found neither");
    }
    if (computeDtype != Dtype.F32) {
      throw new UnknownValueException("routing.computeDtype", Dtype.F32, computeDtype);
    }
  }

  /** The best by score, with their scores for weights. */
  public static Routing of(int expertsPerToken, Score score) {
    return new Routing(
        expertsPerToken,
        score,
        null,
        null,
        null,
        1,
        WeightsApplyTo.EXPERT_OUTPUT,
        Capacity.UNLIMITED,
        Ties.LOWER_EXPERT_ID,
        Dtype.F32);
  }

  /** Whether what becomes of a token depends on tokens after it. */
  public boolean looksAhead() {
    return drops != null && drops.looksAhead(expertsPerToken);
  }

  /** The same equation with another limit of what an expert takes, or none. */
  public Routing withDrops(@Nullable Drops other) {
    return new Routing(
        expertsPerToken,
        score,
        bias,
        groups,
        normalisation,
        mixer,
        scale,
        weightsApplyTo,
        other == null ? Capacity.UNLIMITED : Capacity.LIMITED,
        ties,
        computeDtype,
        assigned,
        factors,
        logitCap,
        other,
        prototypes,
        cosine,
        hierarchy);
  }

  /** Sets of experts that are chosen from. */
  public int sets() {
    return Math.max(1, prototypes);
  }

  /** Logits of gates that stand before those of experts. */
  public int primaryLogits() {
    return hierarchy == null ? 0 : hierarchy.groups();
  }

  /** Groups of experts of which some are kept; 1 where there are none. */
  public int groupCount() {
    return groups != null ? groups.count() : hierarchy != null ? hierarchy.groups() : 1;
  }

  /** Groups that are kept. */
  public int keptGroups() {
    return groups != null ? groups.kept() : hierarchy != null ? hierarchy.kept() : 1;
  }

  /** The same equation with other prototypes, or none. */
  public Routing withPrototypes(int other) {
    return Parts.with(this, "prototypes", other);
  }

  /** Whether experts are chosen by scores with a stored bias added to them. */
  public boolean hasBiasOfScores() {
    return bias != null && bias.isOfScores();
  }

  /** The same equation with another score. */
  public Routing withScore(Score other) {
    return Parts.with(this, "score", other);
  }

  /** The same equation with a bias that touches something else, or none. */
  public Routing withBias(@Nullable Bias other) {
    return Parts.with(this, "bias", other);
  }

  /** The same equation with other groups, or none. */
  public Routing withGroups(@Nullable Groups other) {
    return Parts.with(this, "groups", other);
  }

  /** The same equation with another normalisation, or none. */
  public Routing withNormalisation(@Nullable Normalisation other) {
    return Parts.with(this, "normalisation", other);
  }

  /** The same choice with weights by a mixer of logits, or, without one, by their softmax. */
  public Routing withMixer(@Nullable Mixer other) {
    return new Routing(
        expertsPerToken,
        other == null ? Score.SOFTMAX : Score.IDENTITY,
        bias == Bias.LOGITS ? bias : null,
        null,
        null,
        other,
        scale,
        weightsApplyTo,
        capacity,
        ties,
        computeDtype,
        assigned,
        factors,
        logitCap,
        drops,
        0,
        cosine,
        null);
  }

  /** The same equation with another scale. */
  public Routing withScale(double other) {
    return Parts.with(this, "scale", other);
  }
}
