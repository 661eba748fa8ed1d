package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The family-neutral description of a forward pass over tokens x, of a decoder alone, of one that
 * reads an {@link Encoder}, or of one that sees an {@link Image} instead:
 *
 * <pre>
 * h     = embedding[x]                                    [T, H]
 * for each layer:
 *   a   = h + attention(norm(h))                          [T, H]
 *   h   = a + feedForward(norm(a))                        [T, H]
 * logits = norm(h) · headᵀ                                [T, V]
 * </pre>
 *
 * where norm(x) = weight · x / sqrt(mean(x²) + epsilon) (Zhang and Sennrich, "Root Mean Square
 * Layer Normalization", 2019), of x less its mean where norms are centred (Ba et al., "Layer
 * Normalization", 2016), plus a bias where norms have one. Halves of a layer may be normed
 * elsewhere ({@link NormPlacement}).
 *
 * @param vocabSize V; of a model of images its classes
 * @param hiddenSize H
 * @param maxPositions longest sequence the model was made for, in tokens; of a model of images the
 *     only one
 * @param normEpsilon epsilon of every norm
 * @param finalNormEpsilon that of the last norm, where it has another; null where it has not
 * @param centredNorms whether these take the mean from what they are given
 * @param normBiases whether they have stored biases; not beside a placement or prediction layers
 * @param normPlacement where a layer's halves are normed; null where it is what each reads
 * @param offsetNorms whether these, and those of queries and keys, have 1 + the stored weights; not
 *     where norms are centred
 * @param headBias whether the head has a stored bias
 * @param tiedEmbeddings whether the head is the embedding
 * @param multipliers of embedding, halves of layers and logits; null where there are none
 * @param layerFactors whether what a layer leaves is multiplied by a stored number
 * @param logitCap c where logits l become c · tanh(l / c), after all else (Bello et al., "Neural
 *     Combinatorial Optimization with Reinforcement Learning", 2016, appendix; Gemma 2); null where
 *     they are left
 * @param streams several residual streams side by side; null where there is one
 * @param positions numbers that are added to embeddings; null where none are
 * @param encoder whose tokens those of the decoder see; null where there is none
 * @param image how the first layer reads an image; null where it reads tokens that have ids
 * @param blocks runs of equal layers of the decoder, first layer first
 * @param prediction layers for multi-token prediction, where the package holds any; the forward
 *     pass above does not use them
 */
public record Architecture(
    int vocabSize,
    int hiddenSize,
    long maxPositions,
    double normEpsilon,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double finalNormEpsilon,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean centredNorms,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean normBiases,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable NormPlacement normPlacement,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean offsetNorms,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean headBias,
    boolean tiedEmbeddings,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Multipliers multipliers,
    @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean layerFactors,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double logitCap,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Streams streams,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Sinusoids positions,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Encoder encoder,
    @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Image image,
    List<Blocks> blocks,
    @Nullable Prediction prediction) {

  /** Where the halves of a layer are normed, other than what each of them reads in its turn. */
  public enum NormPlacement {
    /** What each makes: a = h + norm(attention(h)) (OLMo Team, "2 OLMo 2 Furious", 2024). */
    @JsonProperty("output")
    OUTPUT,
    /** Both: a = h + norm(attention(norm(h))), with weights of its own each. */
    @JsonProperty("input_and_output")
    INPUT_AND_OUTPUT,
    /**
     * What the layer reads, once for both, which do not see each other: h + attention(norm(h)) +
     * feedForward(norm(h)) (Wang and Komatsuzaki, "GPT-J-6B", 2021).
     */
    @JsonProperty("shared_input")
    SHARED_INPUT,
    /**
     * The residual stream itself, before each: h = norm(h), a = h + attention(h) (MiniMax,
     * "MiniMax-01", 2025, section 2.2, whose norms after sums these are, but for the first and the
     * last).
     */
    @JsonProperty("residual")
    RESIDUAL
  }

  /**
   * Numbers that keep activations of one size whatever the width (Yang et al., "Tensor Programs V",
   * 2022; IBM, Granite 3, 2024).
   *
   * @param embedding multiplies what the first layer reads
   * @param residual multiplies what either half of a layer adds to the residual stream
   * @param logits multiplies the logits
   */
  public record Multipliers(double embedding, double residual, double logits) {
    public Multipliers {
      Limits.requirePositive("multipliers.embedding", embedding);
      Limits.requirePositive("multipliers.residual", residual);
      Limits.requirePositive("multipliers.logits", logits);
      if (embedding == 1 && residual == 1 && logits == 1) {
        throw new IllegalArgumentException(
            "multipliers: expected none where all of them are 1, found some");
      }
    }

    /** Multipliers, or null where each is 1. */
    public static @Nullable Multipliers of(double embedding, double residual, double logits) {
      return embedding == 1 && residual == 1 && logits == 1
          ? null
          : new Multipliers(embedding, residual, logits);
    }
  }

  /**
   * How half a layer meets the residual stream: kept · h + added · half(h) (Wang et al., "DeepNet",
   * 2022, section 3; MiniMax, "MiniMax-01", 2025).
   *
   * @param kept 0 where what the half makes takes the stream's place
   */
  public record ResidualScale(double kept, double added) {
    public ResidualScale {
      if (kept != 0) {
        Limits.requirePositive("residualScale.kept", kept);
      }
      Limits.requirePositive("residualScale.added", added);
      if (kept == 1 && added == 1) {
        throw new IllegalArgumentException(
            "residualScale: expected none where both of its factors are 1, found one");
      }
    }

    /** Both factors, or null where each is 1. */
    public static @Nullable ResidualScale of(double kept, double added) {
      return kept == 1 && added == 1 ? null : new ResidualScale(kept, added);
    }
  }

  /**
   * Residual streams h_1 to h_count, each [T, H], which every half of a layer reads as one and
   * writes to (Xie et al., "mHC: Manifold-Constrained Hyper-Connections", 2026; transformers {@code
   * models/deepseek_v4/modeling_deepseek_v4.py}):
   *
   * <pre>
   * m          = streams · rmsnorm([h_1; …]), without weights
   * [m; n; M]  = factors, one for each of the three, times m, plus shift
   * p          = σ(m) + epsilon, q = 2 σ(n), C = softmax(M, per row) + epsilon
   * C          = columns over their sum + epsilon; then rows and columns, iterations − 1 times
   * x          = Σ_i p_i h_i
   * h_i        = q_i half(norm(x)) + Σ_j C_ji h_j
   * </pre>
   *
   * Before the last norm they become one as x does. All of them begin as the embedding.
   *
   * @param count of streams
   * @param iterations of the normalisation (Sinkhorn and Knopp, 1967)
   */
  public record Streams(int count, int iterations, double epsilon) {
    public Streams {
      Limits.require("streams.count", count, 2, Limits.MAX_STREAMS);
      Limits.require("streams.iterations", iterations, 1, Limits.MAX_ITERATIONS);
      Limits.requirePositive("streams.epsilon", epsilon);
    }

    /** How many numbers say how a half of a layer reads and writes them. */
    public int weights() {
      return (2 + count) * count;
    }
  }

  /**
   * Sines and cosines of a position p, added to embeddings (Vaswani et al., "Attention Is All You
   * Need", 2017, section 3.5, in the order and with the frequencies of tensor2tensor; transformers
   * {@code models/nllb_moe/modeling_nllb_moe.py}): with h = ⌊H/2⌋ and f_n = 10000^(−n / (h − 1)),
   * columns n from 0 to h − 1 are sin(p f_n), the h after them cos(p f_n), and one that is left 0.
   *
   * @param first position of the first token
   * @param padding a token that has no position: nothing is added to it, and it is not counted;
   *     null where all have one
   */
  public record Sinusoids(
      int first, @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer padding) {
    public Sinusoids {
      Limits.require("positions.first", first, 0, Limits.MAX_WIDTH);
      if (padding != null) {
        Limits.require("positions.padding", padding, 0, Limits.MAX_VOCABULARY);
      }
    }
  }

  /**
   * Layers over a text of its own, every token of which sees every other (Vaswani et al., 2017,
   * section 3.1). Embedding, positions and multipliers are those of the decoder; a norm follows the
   * last layer, and what it makes is what {@link Attention.Cross} reads in each layer of the
   * decoder.
   *
   * @param start the token that a decoder begins with
   * @param blocks runs of equal layers, first layer first
   */
  public record Encoder(int start, List<Blocks> blocks) {
    public Encoder {
      Objects.requireNonNull(blocks, "encoder.blocks is missing");
      blocks.forEach(run -> Objects.requireNonNull(run, "encoder.blocks has null for a run"));
      blocks = List.copyOf(blocks);
      for (Blocks run : blocks) {
        if (run.cross() != null
            || !(run.attention() instanceof Attention.GroupedQuery a && a.bidirectional())) {
          throw new IllegalArgumentException(
              "encoder.blocks: expected attention of the encoder alone, bidirectional in every"
                  + " layer, found another");
        }
      }
      Limits.require(
          "encoder.layers", blocks.stream().mapToLong(Blocks::count).sum(), 1, Limits.MAX_LAYERS);
    }
  }

  /**
   * An image, or another example that is numbers and no text, as a sequence (Dosovitskiy et al.,
   * "An Image is Worth 16x16 Words", 2021, equations 1 and 4): a token of the class, then one for
   * each patch p, in the order of rows, all of which see each other. What the first layer reads,
   * and the head, are
   *
   * <pre>
   * h_0    = class + position_0
   * h_t    = patch · p_t + bias + position_t
   * logits = norm(h_0) · headᵀ                             [1, V]
   * </pre>
   *
   * <p>or, with a representation r = tanh(representation · norm(h_0) + bias), r · headᵀ, or what
   * {@link Towers} make of h_0.
   *
   * @param patchSize numbers of a patch, P: those of a pixel side by side, pixels in the order of
   *     rows
   * @param representationSize width of r; null where the head reads the token itself
   * @param towers networks of tasks; null where there is one head; not beside a representation
   */
  public record Image(
      int patchSize,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer representationSize,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Towers towers) {
    /** Without towers. */
    public Image(int patchSize, @Nullable Integer representationSize) {
      this(patchSize, representationSize, null);
    }

    public Image {
      Limits.require("image.patchSize", patchSize, 1, Limits.MAX_WIDTH);
      if (representationSize != null) {
        Limits.require("image.representationSize", representationSize, 1, Limits.MAX_WIDTH);
      }
      if (representationSize != null && towers != null) {
        throw new IllegalArgumentException(
            "image.towers: expected none beside a representationSize, found both");
      }
    }
  }

  /**
   * Networks of tasks, each of which reads a part of its own of what the last layer leaves, as it
   * is: task t columns t · H / tasks and on (Ma et al., "Modeling Task Relationships in Multi-task
   * Learning with Multi-gate Mixture-of-Experts", 2018, equation 4). Logits of all of them stand
   * side by side, V / tasks of each:
   *
   * <pre>
   * logits_t = relu(h_0,t · towers_tᵀ + bias_t) · head_tᵀ
   * </pre>
   *
   * @param tasks divides H and V
   * @param size width inside each
   */
  public record Towers(int tasks, int size) {
    public Towers {
      Limits.require("image.towers.tasks", tasks, 2, Limits.MAX_EXPERTS);
      Limits.require("image.towers.size", size, 1, Limits.MAX_WIDTH);
    }
  }

  /**
   * A run of equal layers, which may lack one half or the other.
   *
   * @param count layers in the run
   * @param cross attention to an encoder, after that of the decoder; null where there is none
   * @param attentionResidual how the first half meets the residual stream; null where it is added
   * @param feedForwardResidual likewise the second
   */
  public record Blocks(
      int count,
      Attention attention,
      @JsonInclude(JsonInclude.Include.NON_NULL) Attention.@Nullable Cross cross,
      FeedForward feedForward,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable ResidualScale attentionResidual,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable ResidualScale feedForwardResidual) {
    /** Without anything that layers may lack. */
    public Blocks(int count, Attention attention, FeedForward feedForward) {
      this(count, attention, null, feedForward, null, null);
    }

    public Blocks {
      Limits.require("blocks.count", count, 1, Limits.MAX_LAYERS);
      Objects.requireNonNull(attention, "blocks.attention is missing");
      Objects.requireNonNull(feedForward, "blocks.feedForward is missing");
      requireHalf("blocks", attention, feedForward);
      if ((attentionResidual != null && attention instanceof Attention.None)
          || (feedForwardResidual != null && feedForward instanceof FeedForward.None)) {
        throw new IllegalArgumentException(
            "blocks: expected no factors of a half that layers lack, found some");
      }
    }

    private boolean scalesResidual() {
      return attentionResidual != null || feedForwardResidual != null;
    }

    private boolean assignsExperts() {
      return feedForward instanceof FeedForward.MixtureOfExperts m && m.routing().assigned();
    }

    /** Whether what becomes of a token in these layers depends on tokens after it. */
    public boolean looksAhead() {
      return (attention instanceof Attention.GroupedQuery a && a.bidirectional())
          || (feedForward instanceof FeedForward.MixtureOfExperts m && m.routing().looksAhead());
    }

    /**
     * Tokens that cannot have been reached by what happens to one of them in a layer.
     *
     * @param token the first that something happens to; {@code tokens} if none
     */
    public int reached(int token, int tokens) {
      return token < tokens && looksAhead() ? 0 : token;
    }

    /** Numbers that a cache keeps of one token in a layer, in the smallest form. */
    public long cachedPerToken() {
      return rounds(feedForward) * attention.cachedPerToken();
    }

    /** Likewise where the keys and values of every key/value head are kept. */
    public long expandedPerToken() {
      return rounds(feedForward) * attention.expandedPerToken();
    }

    /** Numbers that a layer keeps of a sequence, however long it is. */
    public long keptPerSequence() {
      boolean queues =
          feedForward instanceof FeedForward.MixtureOfExperts m
              && m.routing().drops() != null
              && !m.routing().looksAhead();
      long queued = queues ? ((FeedForward.MixtureOfExperts) feedForward).experts() : 0;
      return attention.keptPerSequence() + queued;
    }

    private Attention.@Nullable Distances distances() {
      return attention instanceof Attention.GroupedQuery a ? a.distances() : null;
    }

    /** The same run with another attention. */
    public Blocks withAttention(Attention other) {
      return Parts.with(this, "attention", other);
    }

    /** The same run with another feed-forward part. */
    public Blocks withFeedForward(FeedForward other) {
      return Parts.with(this, "feedForward", other);
    }
  }

  /**
   * Multi-token prediction (DeepSeek-AI, "DeepSeek-V3 Technical Report", 2024, equations 21 to 24):
   * layer i turns what a head reads of a position, and the token i + 1 places after it, into what
   * its own head reads, and the next layer,
   *
   * <pre>
   * x      = combine · [rmsnorm(embedding[token]); rmsnorm(h)]   [T, H], combine [H, 2H]
   * h      = rmsnorm(one decoder layer of x)                     [T, H]
   * logits = h · headᵀ                                           [T, V]
   * </pre>
   *
   * The first h is the last decoder layer's output after the final norm: the report does not say on
   * which side of it, and transformers 5.18 (MtpModel) and vLLM (deepseek_mtp.py) take this one.
   *
   * <p>Norms, embedding and head are its own. Its tensors are those of a decoder layer, numbered
   * after the last one, and six more.
   *
   * @param count layers, each predicting one token further
   */
  public record Prediction(int count, Attention attention, FeedForward feedForward) {
    public Prediction {
      Limits.require("prediction.count", count, 1, Limits.MAX_LAYERS);
      Objects.requireNonNull(attention, "prediction.attention is missing");
      Objects.requireNonNull(feedForward, "prediction.feedForward is missing");
      requireHalf("prediction", attention, feedForward);
      if (attention instanceof Attention.Lightning) {
        throw new IllegalArgumentException(
            "prediction.attention: expected another than lightning, which goes by a layer's place"
                + " among those of the decoder, found that");
      }
    }
  }

  /** Without anything that an architecture may lack. */
  public Architecture(
      int vocabSize,
      int hiddenSize,
      long maxPositions,
      double normEpsilon,
      boolean tiedEmbeddings,
      List<Blocks> blocks,
      @Nullable Prediction prediction) {
    this(
        vocabSize,
        hiddenSize,
        maxPositions,
        normEpsilon,
        null,
        false,
        false,
        null,
        false,
        false,
        tiedEmbeddings,
        null,
        false,
        null,
        null,
        null,
        null,
        null,
        blocks,
        prediction);
  }

  public Architecture {
    Limits.require("vocabSize", vocabSize, 1, Limits.MAX_VOCABULARY);
    Limits.require("hiddenSize", hiddenSize, 1, Limits.MAX_WIDTH);
    Limits.require("maxPositions", maxPositions, 1, Limits.MAX_POSITIONS);
    Limits.requirePositive("normEpsilon", normEpsilon);
    if (finalNormEpsilon != null) {
      Limits.requirePositive("finalNormEpsilon", finalNormEpsilon);
      if (finalNormEpsilon == normEpsilon) {
        throw new IllegalArgumentException(
            "finalNormEpsilon: expected none where it is normEpsilon, found that");
      }
    }
    if (centredNorms && offsetNorms) {
      throw new IllegalArgumentException(
          "offsetNorms: expected none beside centredNorms, found both");
    }
    if (normBiases && (normPlacement != null || prediction != null)) {
      throw new IllegalArgumentException(
          "normBiases: expected none beside normPlacement or prediction layers, found both");
    }
    if (streams != null && (normPlacement != null || multipliers != null || prediction != null)) {
      throw new IllegalArgumentException(
          "streams: expected none beside normPlacement, multipliers or prediction layers, found"
              + " both");
    }
    Objects.requireNonNull(blocks, "blocks is missing");
    blocks.forEach(run -> Objects.requireNonNull(run, "blocks has null for a run of layers"));
    if (logitCap != null) {
      Limits.requirePositive("logitCap", logitCap);
    }
    blocks = List.copyOf(blocks);
    boolean beside = blocks.stream().anyMatch(run -> isBeside(run.feedForward()));
    if (beside
        && (normPlacement == NormPlacement.SHARED_INPUT
            || normPlacement == NormPlacement.RESIDUAL)) {
      throw new IllegalArgumentException(
          "normPlacement: expected neither shared_input nor residual where a network stands beside"
              + " experts, found one of them");
    }
    if ((streams != null || normPlacement == NormPlacement.SHARED_INPUT)
        && blocks.stream().anyMatch(Blocks::scalesResidual)) {
      throw new IllegalArgumentException(
          "blocks: expected no factors of halves beside streams or a shared_input, found some");
    }
    boolean halved = blocks.stream().anyMatch(run -> isHalf(run.attention(), run.feedForward()));
    if (prediction != null) {
      halved |= isHalf(prediction.attention(), prediction.feedForward());
    }
    if (halved && normPlacement == NormPlacement.SHARED_INPUT) {
      throw new IllegalArgumentException(
          "normPlacement: expected another than shared_input where layers lack a half, found that");
    }
    if (normBiases && beside) {
      throw new IllegalArgumentException(
          "normBiases: expected none where a network stands beside experts, found some");
    }
    Limits.require("layers", blocks.stream().mapToLong(Blocks::count).sum(), 1, Limits.MAX_LAYERS);
    if (positions != null && hiddenSize < 4) {
      throw new IllegalArgumentException(
          "positions: expected a hiddenSize of 4 or more, found " + hiddenSize);
    }
    if (positions != null && positions.padding() != null && encoder == null) {
      throw new IllegalArgumentException(
          "positions.padding: expected none without an encoder, found some");
    }
    if (encoder != null && (streams != null || normPlacement != null || prediction != null)) {
      throw new IllegalArgumentException(
          "encoder: expected none beside streams, normPlacement or prediction layers, found both");
    }
    if (encoder != null) {
      Limits.require("encoder.start", encoder.start(), 0, vocabSize - 1);
    }
    for (Blocks run : blocks) {
      if ((run.cross() != null) != (encoder != null)) {
        throw new IllegalArgumentException(
            "blocks.cross: expected one in every layer where there is an encoder and only there,"
                + " found otherwise");
      }
      boolean ahead = run.attention() instanceof Attention.GroupedQuery a && a.bidirectional();
      if (ahead && image == null) {
        throw new IllegalArgumentException(
            "attention.bidirectional: expected it in an encoder alone, found it in a decoder");
      }
      if (image != null && (!ahead || run.assignsExperts())) {
        throw new IllegalArgumentException(
            "blocks: expected bidirectional attention, and no table of experts, in every layer of a"
                + " model of images, found otherwise");
      }
    }
    for (Blocks run : runs(encoder, blocks).toList()) {
      if (run.feedForward() instanceof FeedForward.MixtureOfExperts m
          && hiddenSize % m.tasks() != 0) {
        throw new IllegalArgumentException(
            "feedForward.byTask: expected prototypes that divide a hiddenSize of %d, found %d"
                .formatted(hiddenSize, m.tasks()));
      }
    }
    if (image != null) {
      Towers towers = image.towers();
      if (towers != null && (hiddenSize % towers.tasks() != 0 || vocabSize % towers.tasks() != 0)) {
        throw new IllegalArgumentException(
            "image.towers.tasks: expected a divisor of hiddenSize %d and vocabSize %d, found %d"
                .formatted(hiddenSize, vocabSize, towers.tasks()));
      }
      Limits.require("maxPositions", maxPositions, 2, Limits.MAX_WIDTH);
      if (encoder != null || streams != null) {
        throw new IllegalArgumentException(
            "image: expected none beside encoder or streams, found both");
      }
      if (tiedEmbeddings || prediction != null) {
        throw new IllegalArgumentException(
            "image: expected a head of its own and no prediction layers beside it, found"
                + " otherwise");
      }
    }
    if (runs(encoder, blocks).anyMatch(run -> rounds(run.feedForward()) > 1)) {
      boolean more = encoder != null || image != null || prediction != null;
      boolean meets =
          streams != null
              || normPlacement != null
              || blocks.stream().anyMatch(Blocks::scalesResidual);
      if (more || meets || !blocks.stream().allMatch(Architecture::attendsToAll)) {
        throw new IllegalArgumentException(
            "feedForward.shortcut: expected grouped-query or latent attention without an indexer,"
                + " and no encoder, image, streams, normPlacement, factors of halves or prediction"
                + " layers beside it, found otherwise");
      }
    } else if (prediction != null && rounds(prediction.feedForward()) > 1) {
      throw new IllegalArgumentException("prediction.feedForward: expected no shortcut, found one");
    }
    requireDistances(blocks);
    if (encoder != null) {
      requireDistances(encoder.blocks());
    }
  }

  /** How often a layer attends. */
  static int rounds(FeedForward feedForward) {
    return feedForward instanceof FeedForward.MixtureOfExperts m && m.shortcut() != null ? 2 : 1;
  }

  /** Whether some layer attends more than once ({@link FeedForward.Shortcut}). */
  public boolean attendsAgain() {
    return blocks.stream().anyMatch(run -> rounds(run.feedForward()) > 1);
  }

  /** Keys of an indexer are kept once in a layer. */
  private static boolean attendsToAll(Blocks run) {
    return rounds(run.feedForward()) == 1
        || (run.attention() instanceof Attention.GroupedQuery g
            && g.headExperts() == null
            && g.blockIndexer() == null)
        || (run.attention() instanceof Attention.MultiHeadLatent a && a.indexer() == null);
  }

  private static Stream<Blocks> runs(@Nullable Encoder encoder, List<Blocks> blocks) {
    return Stream.concat(
        encoder == null ? Stream.of() : encoder.blocks().stream(), blocks.stream());
  }

  private static boolean isHalf(Attention attention, FeedForward feedForward) {
    return attention instanceof Attention.None || feedForward instanceof FeedForward.None;
  }

  private static void requireHalf(String where, Attention attention, FeedForward feedForward) {
    if (attention instanceof Attention.None && feedForward instanceof FeedForward.None) {
      throw new IllegalArgumentException(where + ": expected half a layer at least, found none");
    }
  }

  /** Biases by distance are stored once for all layers that stand together. */
  private static void requireDistances(List<Blocks> blocks) {
    if (blocks.stream().map(Blocks::distances).distinct().count() > 1) {
      throw new IllegalArgumentException(
          "attention.distances: expected the same in all layers, found others");
    }
  }

  /** Numbers of a token between layers: of all residual streams. */
  @JsonIgnore
  public int streamWidth() {
    return streams == null ? hiddenSize : Math.multiplyExact(streams.count(), hiddenSize);
  }

  /** Whether halves of a layer read the residual stream through a norm. */
  public boolean hasInputNorms() {
    return normPlacement != NormPlacement.OUTPUT;
  }

  /**
   * Whether the second half of a layer reads the residual stream, or the streams as one, itself.
   */
  public boolean readsResidual(FeedForward feedForward) {
    return !hasInputNorms() || isBeside(feedForward);
  }

  /** Whether halves are added to what they read, which is normed. */
  public boolean hasNormedResidual() {
    return normPlacement == NormPlacement.RESIDUAL;
  }

  /** Whether the second half of a layer is added to what it reads. */
  public boolean addsToWhatItReads(FeedForward feedForward) {
    return hasNormedResidual() || readsResidual(feedForward);
  }

  private static boolean isBeside(FeedForward feedForward) {
    return feedForward instanceof FeedForward.MixtureOfExperts m && m.beside() != null;
  }

  /** Whether what they make is normed before it is added to the residual stream. */
  public boolean hasOutputNorms() {
    return normPlacement == NormPlacement.OUTPUT || normPlacement == NormPlacement.INPUT_AND_OUTPUT;
  }

  /** Whether halves of a layer read the same, and not each other. */
  public boolean hasParallelHalves() {
    return normPlacement == NormPlacement.SHARED_INPUT;
  }

  /** Layers of the encoder, which are numbered before those of the decoder; 0 without one. */
  @JsonIgnore
  public int encoderLayers() {
    return encoder == null ? 0 : encoder.blocks().stream().mapToInt(Blocks::count).sum();
  }

  /** All runs of layers, those of an encoder first. */
  @JsonIgnore
  public List<Blocks> runs() {
    return runs(encoder, blocks).toList();
  }

  /** One entry per layer, those of an encoder first; layers of a run share their {@link Blocks}. */
  @JsonIgnore
  public List<Blocks> layers() {
    List<Blocks> layers = new ArrayList<>();
    for (Blocks run : runs()) {
      for (int i = 0; i < run.count(); i++) {
        layers.add(run);
      }
    }
    return layers;
  }

  /** Whether what becomes of a token depends on tokens after it, in some layer of the decoder. */
  public boolean looksAhead() {
    return blocks.stream().anyMatch(Blocks::looksAhead);
  }

  /** The same model with runs of layers changed. */
  public Architecture withBlocks(UnaryOperator<Blocks> change) {
    Architecture changed = Parts.with(this, "blocks", blocks.stream().map(change).toList());
    return encoder == null
        ? changed
        : Parts.with(
            changed,
            "encoder",
            new Encoder(encoder.start(), encoder.blocks().stream().map(change).toList()));
  }

  /** The same model with another epsilon in every norm. */
  public Architecture withNormEpsilon(double other) {
    Map<String, @Nullable Object> both = new HashMap<>();
    both.put("normEpsilon", other);
    both.put("finalNormEpsilon", null);
    return Parts.with(this, both);
  }

  /**
   * The same model with so many layers for multi-token prediction: such as it has, or else as last
   * in the decoder, with attention that keeps no state, and experts.
   */
  public Architecture withPrediction(int count) {
    if (count == 0) {
      return Parts.with(this, "prediction", null);
    }
    Prediction layers =
        prediction == null
            ? new Prediction(
                count,
                last(Blocks::attention, attention -> attention.keptPerSequence() == 0),
                last(Blocks::feedForward, FeedForward.MixtureOfExperts.class::isInstance))
            : new Prediction(count, prediction.attention(), prediction.feedForward());
    return Parts.with(this, "prediction", layers);
  }

  /** The last half of its kind that is such, or else that of the last layer. */
  private <T> T last(Function<Blocks, T> half, Predicate<T> such) {
    return blocks.reversed().stream()
        .map(half)
        .filter(such)
        .findFirst()
        .orElseGet(() -> half.apply(blocks.getLast()));
  }
}
