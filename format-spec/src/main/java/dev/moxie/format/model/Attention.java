package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** How tokens see each other. Causal: position i sees positions j ≤ i. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
@JsonSubTypes({
  @JsonSubTypes.Type(value = Attention.GroupedQuery.class, name = "grouped_query"),
  @JsonSubTypes.Type(value = Attention.MultiHeadLatent.class, name = "multi_head_latent"),
  @JsonSubTypes.Type(value = Attention.GatedDelta.class, name = "gated_delta"),
  @JsonSubTypes.Type(value = Attention.ShortConvolution.class, name = "short_convolution"),
  @JsonSubTypes.Type(value = Attention.Mamba.class, name = "mamba"),
  @JsonSubTypes.Type(value = Attention.Mamba2.class, name = "mamba2"),
  @JsonSubTypes.Type(value = Attention.Lightning.class, name = "lightning"),
  @JsonSubTypes.Type(value = Attention.Compressed.class, name = "compressed"),
  @JsonSubTypes.Type(value = Attention.None.class, name = "none")
})
public sealed interface Attention {
  /** Numbers that a cache keeps of one token in one layer, in the smallest form. */
  @JsonIgnore
  long cachedPerToken();

  /** Likewise where the keys and values of every key/value head are kept. */
  @JsonIgnore
  long expandedPerToken();

  /** Numbers that a layer keeps of a sequence, however long it is. */
  @JsonIgnore
  long keptPerSequence();

  /** Every token meets the keys of those that it sees, and mixes their values. */
  sealed interface Softmax extends Attention {
    /** Query heads. */
    int heads();

    /** Factor of q·k before the softmax, without the rotary embedding's. */
    double scale();

    /** How positions turn queries and keys; null where they do not. */
    @Nullable Rotary rotary();

    /** The same attention with another rotary embedding. */
    Softmax withRotary(Rotary other);

    /** The same attention with scores multiplied by another number. */
    Softmax withScale(double other);

    /** What q·k is multiplied by before the softmax, all factors together. */
    default double softmaxScale() {
      Rotary rotary = rotary();
      return rotary == null ? scale() : scale() * rotary.softmaxFactor();
    }

    @Override
    default long keptPerSequence() {
      return 0;
    }
  }

  /** What is kept of all tokens together, if anything, is as large however many they are. */
  sealed interface Recurrent extends Attention {
    @Override
    default long cachedPerToken() {
      return 0;
    }

    @Override
    default long expandedPerToken() {
      return 0;
    }
  }

  /** A layer has a second half alone; nor is there a norm for it. */
  record None() implements Recurrent {
    @Override
    public long keptPerSequence() {
      return 0;
    }
  }

  /** Over which columns of queries and keys a norm goes. */
  enum NormSpan {
    /** Those of one head; all heads share the weights. */
    @JsonProperty("head")
    HEAD,
    /** Those of all heads side by side. */
    @JsonProperty("all_heads")
    ALL_HEADS
  }

  /**
   * Norms of queries and keys (Henry et al., "Query-Key Normalization for Transformers", 2020):
   * RMS, before positions turn them or after.
   *
   * @param weighted whether each has stored weights, as wide as its span
   */
  record QueryKeyNorm(NormSpan span, double epsilon, boolean weighted, boolean afterRotation) {
    public QueryKeyNorm {
      Objects.requireNonNull(span, "attention.queryKeyNorm.span is missing");
      Limits.requirePositive("attention.queryKeyNorm.epsilon", epsilon);
    }
  }

  /**
   * Queries grow with their position p, so that attention stays sharp over long sequences (Llama 4;
   * Nakanishi, "Scalable-Softmax", 2025): q times 1 + scale · ln(1 + ⌊(p + 1) / floor⌋).
   *
   * @param floor positions up to which queries are left
   * @param fromZero whether p takes the place of p + 1 (Mistral 4)
   */
  record Temperature(
      double scale, double floor, @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean fromZero) {
    /** Of positions that count from one. */
    public Temperature(double scale, double floor) {
      this(scale, floor, false);
    }

    public Temperature {
      Limits.requirePositive("attention.temperature.scale", scale);
      Limits.requirePositive("attention.temperature.floor", floor);
    }

    /** What a position is counted as. */
    public long count(long position) {
      return fromZero ? position : position + 1;
    }
  }

  /** What opens a gate. */
  enum Opening {
    /** σ(g) = 1 / (1 + exp(−g)). */
    @JsonProperty("sigmoid")
    SIGMOID,
    /** ln(1 + exp(g)). */
    @JsonProperty("softplus")
    SOFTPLUS
  }

  /**
   * What heads read is multiplied by, before the output projection: f(g), g = output_gate · x (Qiu
   * et al., "Gated Attention for Large Language Models", 2025).
   *
   * @param opening f
   * @param perHead whether g has a number for each head, else for each number that heads read
   */
  record Gate(Opening opening, @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean perHead) {
    public Gate {
      Objects.requireNonNull(opening, "attention.gate.opening is missing");
    }
  }

  /**
   * Experts of queries and outputs (Zhang et al., "Mixture of Attention Heads", 2022; Shen et al.,
   * "JetMoE", 2024; transformers {@code models/jetmoe/modeling_jetmoe.py}): keys and values are
   * shared, and each of a token's chosen experts has a query for each of their heads,
   *
   * <pre>
   * s    = softmax(router · x), S = the expertsPerToken experts of largest s, w = s[S] / Σ s[S]
   * q_e  = query_e · x,  o_e = what heads read with these, for e in S
   * y    = Σ over e in S of w_e · (output_e · o_e)
   * </pre>
   *
   * @param count of experts
   * @param perToken k
   */
  record HeadExperts(int count, int perToken) {
    public HeadExperts {
      Limits.require("attention.headExperts.count", count, 1, Limits.MAX_EXPERTS);
      Limits.require("attention.headExperts.perToken", perToken, 1, count);
    }
  }

  /**
   * Biases of scores by distance (Raffel et al., "Exploring the Limits of Transfer Learning with a
   * Unified Text-to-Text Transformer", 2020, section 2.1; transformers {@code
   * models/t5/modeling_t5.py}): the key at position j adds b[bucket][head] to the score of position
   * i, b being stored once for all layers that stand together, in the first of them, or in each
   * layer for itself.
   *
   * <p>Distances are n = i − j, or, where keys after i are seen, |i − j| in the lower half of the
   * buckets for keys up to i and in the upper half for those after it. Of B buckets, of either
   * half, the first ⌊B/2⌋ are for one distance each, and the others for distances that grow by one
   * factor up to the farthest: bucket m + ⌊(B − m) ln(n / m) / ln(farthest / m)⌋, m = ⌊B/2⌋, at
   * most B − 1.
   *
   * @param buckets all of them
   * @param farthest distance from which on all are alike
   * @param perLayer whether each layer has biases of its own
   */
  record Distances(
      int buckets, int farthest, @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean perLayer) {
    /** What rounding takes from a whole number of buckets. */
    private static final double WHOLE = 1e-9;

    /** Those that layers share. */
    public Distances(int buckets, int farthest) {
      this(buckets, farthest, false);
    }

    public Distances {
      Limits.require("attention.distances.buckets", buckets, 4, Limits.MAX_WIDTH);
      Limits.require("attention.distances.farthest", farthest, buckets, Integer.MAX_VALUE);
      if (buckets % 4 != 0) {
        throw new IllegalArgumentException(
            "attention.distances.buckets: expected a multiple of 4, found " + buckets);
      }
    }

    /**
     * The bucket of a key.
     *
     * @param after how many positions it stands after the token, below 0 if before
     * @param bidirectional whether keys after it are seen
     */
    public int bucket(long after, boolean bidirectional) {
      int count = bidirectional ? buckets / 2 : buckets;
      int first = bidirectional && after > 0 ? count : 0;
      long distance = bidirectional ? Math.abs(after) : Math.max(0, -after);
      int exact = count / 2;
      if (distance < exact) {
        return first + (int) distance;
      }
      double share = Math.log((double) distance / exact) / Math.log((double) farthest / exact);
      return first + Math.min(count - 1, exact + (int) (share * (count - exact) + WHOLE));
    }
  }

  /**
   * Attention of a decoder's tokens to all of an encoder's (Vaswani et al., "Attention Is All You
   * Need", 2017, section 3.2.3): queries from a norm of the decoder's residual stream, keys and
   * values from what the encoder leaves, after its last norm; as many heads of either.
   *
   * @param scale factor of q·k before the softmax
   * @param biases whether all four projections have stored biases
   */
  record Cross(
      int heads,
      int headSize,
      double scale,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean biases) {
    public Cross {
      Limits.require("cross.heads", heads, 1, Limits.MAX_HEADS);
      Limits.require("cross.headSize", headSize, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("cross.scale", scale);
    }

    /** What it does with queries, keys and values. */
    public GroupedQuery attention() {
      var all = new GroupedQuery(heads, heads, headSize, scale, null, null);
      return Parts.with(all, "bidirectional", true);
    }
  }

  /**
   * Grouped-query attention (Ainslie et al., "GQA", 2023): query head i reads key/value head i ·
   * keyValueHeads / heads; output = softmax(scale · q·kᵀ + mask) · v, heads side by side, times the
   * output projection. Queries, keys and values are first given their biases, then normed, clipped,
   * turned, normed, tempered, as far as the attention has each; values are normed and clipped
   * alone.
   *
   * @param heads query heads
   * @param keyValueHeads divides heads
   * @param headSize width D of one head
   * @param scale factor of q·k before the softmax, usually 1/sqrt(D); the rotary embedding's
   *     softmax factor multiplies it
   * @param scoreCap c where scores s become c · tanh(s / c), after {@code scale} and before all
   *     else (xAI, Grok-1, 2024, {@code model.py}; Gemma 2); null leaves them
   * @param window position i sees only j > i − window; null sees all j ≤ i
   * @param chunk position i sees only those j with ⌊j / chunk⌋ = ⌊i / chunk⌋; null sees all
   * @param biases whether queries, keys and values have stored biases
   * @param outputBias whether the output projection has one
   * @param queryKeyNorm null where there is none
   * @param clip queries, keys and values are held within ±clip; null leaves them
   * @param sinks whether every head has a stored score that takes part in the softmax and has no
   *     value (Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2023)
   * @param temperature null leaves queries as they are
   * @param outputGate whether the query projection has, of each head, the rows of a gate g below
   *     those of the query: σ(g) multiplies what the head reads, before the output projection (Qiu
   *     et al., "Gated Attention for Large Language Models", 2025)
   * @param gate one that has a matrix of its own; null where there is none
   * @param keysAsValues whether values are the keys before all that is made of these but biases
   * @param valueSize width of a head's values, and of what it reads; null where that is D
   * @param valueNorm epsilon of an RMS norm of each head's values, without weights; null where
   *     there is none
   * @param valueFactor multiplies values, after all else; null leaves them
   * @param rotary applied to queries and keys; null where no position turns them
   * @param bidirectional whether a position sees those after it as well; not beside a window or a
   *     chunk
   * @param distances what a score is given by the distance of its key; null where nothing
   * @param headExperts whose queries and outputs heads have, k for each key/value head; null where
   *     every token has the same. Beside none of what queries, keys and values may have but rotary,
   *     window, chunk and scoreCap
   * @param blockIndexer which blocks of the positions up to its own a head sees; null where all.
   *     Not beside a window, a chunk, bidirectional or distances
   */
  record GroupedQuery(
      int heads,
      int keyValueHeads,
      int headSize,
      double scale,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double scoreCap,
      @Nullable Integer window,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer chunk,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean biases,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean outputBias,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable QueryKeyNorm queryKeyNorm,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double clip,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean sinks,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Temperature temperature,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean outputGate,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Gate gate,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean keysAsValues,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer valueSize,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double valueNorm,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double valueFactor,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Rotary rotary,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean bidirectional,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Distances distances,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable HeadExperts headExperts,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable BlockIndexer blockIndexer)
      implements Softmax {
    /** Without anything that an attention may lack. */
    public GroupedQuery(
        int heads,
        int keyValueHeads,
        int headSize,
        double scale,
        @Nullable Integer window,
        @Nullable Rotary rotary) {
      this(
          heads,
          keyValueHeads,
          headSize,
          scale,
          null,
          window,
          null,
          false,
          false,
          null,
          null,
          false,
          null,
          false,
          null,
          false,
          null,
          null,
          null,
          rotary,
          false,
          null,
          null,
          null);
    }

    public GroupedQuery {
      Limits.require("attention.heads", heads, 1, Limits.MAX_HEADS);
      Limits.require("attention.keyValueHeads", keyValueHeads, 1, heads);
      Limits.require("attention.headSize", headSize, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("attention.scale", scale);
      if (heads % keyValueHeads != 0) {
        throw new IllegalArgumentException(
            "attention.keyValueHeads: expected a divisor of "
                + heads
                + " heads, found "
                + keyValueHeads);
      }
      if (scoreCap != null) {
        Limits.requirePositive("attention.scoreCap", scoreCap);
      }
      if (window != null) {
        Limits.require("attention.window", window, 1, Integer.MAX_VALUE);
      }
      if (chunk != null) {
        Limits.require("attention.chunk", chunk, 1, Integer.MAX_VALUE);
      }
      if (bidirectional && (window != null || chunk != null)) {
        throw new IllegalArgumentException(
            "attention.bidirectional: expected none beside a window or chunk, found both");
      }
      if (clip != null) {
        Limits.requirePositive("attention.clip", clip);
      }
      if (valueNorm != null) {
        Limits.requirePositive("attention.valueNorm", valueNorm);
      }
      if (valueFactor != null) {
        Limits.requirePositive("attention.valueFactor", valueFactor);
      }
      if (valueFactor != null && valueFactor == 1) {
        throw new IllegalArgumentException(
            "attention.valueFactor: expected none where it is 1, found 1");
      }
      if (gate != null && outputGate) {
        throw new IllegalArgumentException(
            "attention.gate: expected none beside outputGate, found both");
      }
      if (valueSize != null) {
        Limits.require("attention.valueSize", valueSize, 1, Limits.MAX_WIDTH);
        if (valueSize == headSize || keysAsValues || outputGate) {
          throw new IllegalArgumentException(
              "attention.valueSize: expected another than headSize %d, and neither keysAsValues nor"
                      .formatted(headSize)
                  + " outputGate beside it, found "
                  + valueSize);
        }
      }
      if (headExperts != null) {
        boolean more = biases || queryKeyNorm != null || clip != null || sinks || outputGate;
        more |= gate != null || keysAsValues || valueSize != null || valueNorm != null;
        more |= temperature != null || valueFactor != null || bidirectional || distances != null;
        more |= blockIndexer != null;
        if (more || heads != headExperts.perToken() * keyValueHeads) {
          throw new IllegalArgumentException(
              "attention.headExperts: expected as many heads as key/value heads of a token's"
                  + " experts, and nothing but rotary, window, chunk and scoreCap beside them,"
                  + " found otherwise");
        }
      }
      if (rotary != null && rotary.dimensions() > headSize) {
        throw new IllegalArgumentException(
            "attention.rotary.dimensions: expected at most headSize "
                + headSize
                + ", found "
                + rotary.dimensions());
      }
      if (blockIndexer != null) {
        blockIndexer.requireFit(heads, rotary);
        if (window != null || chunk != null || bidirectional || distances != null) {
          throw new IllegalArgumentException(
              "attention.blockIndexer: expected none beside a window, a chunk, bidirectional or"
                  + " distances, found both");
        }
      }
    }

    /** The last position that position i sees, of so many. */
    public long lastSeen(long i, long tokens) {
      return bidirectional ? tokens - 1 : i;
    }

    /** Width of a head's values. */
    public int valuesOfHead() {
      return valueSize == null ? headSize : valueSize;
    }

    /** The first position that position i sees. */
    public long firstSeen(long i) {
      long first = window == null ? 0 : Math.max(0, i - window + 1);
      return chunk == null ? first : Math.max(first, i - i % chunk);
    }

    @Override
    public GroupedQuery withRotary(@Nullable Rotary other) {
      return Parts.with(this, "rotary", other);
    }

    @Override
    public GroupedQuery withScale(double other) {
      return Parts.with(this, "scale", other);
    }

    /** The same attention with another window, or none. */
    public GroupedQuery withWindow(@Nullable Integer other) {
      return Parts.with(this, "window", other);
    }

    @Override
    public long cachedPerToken() {
      long indexed = blockIndexer == null ? 0 : blockIndexer.size();
      return (long) keyValueHeads * (headSize + valuesOfHead()) + indexed;
    }

    @Override
    public long expandedPerToken() {
      return cachedPerToken();
    }
  }

  /**
   * Sparse attention by blocks (MiniMax, "MiniMax-M3", 2026; transformers {@code
   * models/minimax_m3_vl/modeling_minimax_m3_vl.py}): the positions are cut into blocks B of {@code
   * block} each, and heads of position t see its own block and those before it, {@code local} in
   * all, and of the others as many with the largest I_tB as make {@code kept} of them.
   *
   * <pre>
   * q     = rotate(rmsnorm(index_query · x))    per group of heads h: q_h [T, size]
   * k     = rotate(rmsnorm(index_key · x))      [T, size]
   * I_tB  = max over j in B, j ≤ t, of q_th · k_j
   * </pre>
   *
   * <p>Norms go over each group by itself, with weights that all share. The first {@code
   * rotary.dimensions} of q_h and k are turned as the attention's own are.
   *
   * @param heads groups of neighbouring query heads that see the same blocks; divides these
   * @param size width of q_h and k
   * @param block positions of a block
   * @param kept blocks that a head sees at most
   * @param local of these, how many of the last ones it always sees
   * @param normEpsilon of the norms of its queries and keys
   */
  record BlockIndexer(int heads, int size, int block, int kept, int local, double normEpsilon) {
    public BlockIndexer {
      Limits.require("attention.blockIndexer.heads", heads, 1, Limits.MAX_HEADS);
      Limits.require("attention.blockIndexer.size", size, 1, Limits.MAX_WIDTH);
      Limits.require("attention.blockIndexer.block", block, 1, Limits.MAX_WIDTH);
      Limits.require("attention.blockIndexer.kept", kept, 1, Limits.MAX_WIDTH);
      Limits.require("attention.blockIndexer.local", local, 0, kept);
      Limits.requirePositive("attention.blockIndexer.normEpsilon", normEpsilon);
    }

    private void requireFit(int queryHeads, @Nullable Rotary rotary) {
      if (queryHeads % heads != 0) {
        throw new IllegalArgumentException(
            "attention.blockIndexer.heads: expected a divisor of %d heads, found %d"
                .formatted(queryHeads, heads));
      }
      if (rotary != null && rotary.dimensions() > size) {
        throw new IllegalArgumentException(
            "attention.blockIndexer.size: expected at least the %d dimensions of rotary, found %d"
                .formatted(rotary.dimensions(), size));
      }
    }

    /** How many blocks have positions up to one. */
    public int blocks(long position) {
      return Math.toIntExact(position / block + 1);
    }
  }

  /**
   * Sparse attention (DeepSeek-AI, "DeepSeek-V3.2", 2025, section 2.1; transformers {@code
   * models/deepseek_v32/modeling_deepseek_v32.py}): position t sees those {@code kept} of the
   * positions j ≤ t that have the largest I_tj, or all where they are no more.
   *
   * <pre>
   * q     = rotate(index_query · rmsnorm(query_down · x))    per head h: q_h [T, size]
   * k     = rotate(layernorm(index_key · x) + bias)          [T, size]
   * w     = index_weights · x                                [T, heads]
   * I_tj  = Σ_h w_th max(0, q_th · k_j)
   * </pre>
   *
   * <p>Implementations multiply I by positive numbers, which changes no choice. The first {@code
   * rotary.dimensions} of q_h and k are turned as the attention's own are, but for the pairs.
   *
   * @param heads of the indexer
   * @param size width of its heads
   * @param kept positions that a token sees at most
   * @param normEpsilon of the norm of its keys
   * @param pairing which two dimensions are turned together
   */
  record Indexer(int heads, int size, int kept, double normEpsilon, Rotary.Pairing pairing) {
    public Indexer {
      Limits.require("attention.indexer.heads", heads, 1, Limits.MAX_HEADS);
      Limits.require("attention.indexer.size", size, 1, Limits.MAX_WIDTH);
      Limits.require("attention.indexer.kept", kept, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("attention.indexer.normEpsilon", normEpsilon);
      Objects.requireNonNull(pairing, "attention.indexer.pairing is missing");
    }
  }

  /**
   * Multi-head latent attention (DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1 and equations 37 to
   * 47): keys and values of all heads come from one latent c per token, and one rotated key r is
   * shared by all heads.
   *
   * <pre>
   * [c; r]    = latent_down · x                    c [T, latentSize], r [T, shared]
   * [k_i; v_i] = latent_up · rmsnorm(c)            per head: k_i [T, plainSize], v_i [T, valueSize]
   * [q_i; p_i] = query · x, or query_up · rmsnorm(query_down · x)
   * o_i       = softmax(scale · (q_i k_iᵀ + rotate(p_i) rotate(r)ᵀ) + mask) v_i
   * y         = output · [o_1; …]
   * </pre>
   *
   * @param queryRank width of the query's own latent; null where queries come straight from x
   * @param latentSize width of c
   * @param plainSize part of a query or key head that positions do not turn
   * @param valueSize width of a value head
   * @param scale factor of the products before the softmax: 1/sqrt(plainSize + shared)
   * @param latentNormEpsilon epsilon of the norms inside the attention
   * @param rotary its dimensions are the turned part of a head; its softmax factor multiplies
   *     scale; null where no position turns p and r (Kimi Team, "Kimi Linear", 2025, section 4)
   * @param sharedSize width of r where there is no rotary, else null
   * @param temperature of whole queries, once they are turned; null leaves them as they are
   * @param indexer which of the positions before a token it sees; null if all
   * @param latentFactor multiplies rmsnorm(c) (Meituan, "LongCat-Flash Technical Report", 2025,
   *     section 2.3.1); null where that is 1
   */
  record MultiHeadLatent(
      int heads,
      @Nullable Integer queryRank,
      int latentSize,
      int plainSize,
      int valueSize,
      double scale,
      double latentNormEpsilon,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Rotary rotary,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer sharedSize,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Temperature temperature,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Indexer indexer,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double latentFactor)
      implements Softmax {
    /** Without anything that an attention may lack: it sees all that came before. */
    public MultiHeadLatent(
        int heads,
        @Nullable Integer queryRank,
        int latentSize,
        int plainSize,
        int valueSize,
        double scale,
        double latentNormEpsilon,
        Rotary rotary) {
      this(
          heads,
          queryRank,
          latentSize,
          plainSize,
          valueSize,
          scale,
          latentNormEpsilon,
          rotary,
          null,
          null,
          null,
          null);
    }

    public MultiHeadLatent {
      Limits.require("attention.heads", heads, 1, Limits.MAX_HEADS);
      if (queryRank != null) {
        Limits.require("attention.queryRank", queryRank, 1, Limits.MAX_WIDTH);
      }
      Limits.require("attention.latentSize", latentSize, 1, Limits.MAX_WIDTH);
      Limits.require("attention.plainSize", plainSize, 1, Limits.MAX_WIDTH);
      Limits.require("attention.valueSize", valueSize, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("attention.scale", scale);
      Limits.requirePositive("attention.latentNormEpsilon", latentNormEpsilon);
      if (latentFactor != null) {
        Limits.requirePositive("attention.latentFactor", latentFactor);
        if (latentFactor == 1) {
          throw new IllegalArgumentException(
              "attention.latentFactor: expected none where it is 1, found 1");
        }
      }
      if ((rotary == null) == (sharedSize == null)) {
        throw new IllegalArgumentException(
            "attention.sharedSize: expected one of it and rotary, found "
                + (rotary == null ? "neither" : "both"));
      }
      if (sharedSize != null) {
        Limits.require("attention.sharedSize", sharedSize, 1, Limits.MAX_WIDTH);
      }
      if (indexer != null && queryRank == null) {
        throw new IllegalArgumentException(
            "attention.queryRank: expected the width of a latent, which the indexer reads, found"
                + " none");
      }
      if (indexer != null) {
        requireTurned(indexer, rotary);
      }
    }

    private static void requireTurned(Indexer indexer, @Nullable Rotary rotary) {
      if (rotary == null) {
        throw new IllegalArgumentException(
            "attention.rotary: expected one, which turns what the indexer reads, found none");
      }
      if (rotary.dimensions() > indexer.size()) {
        throw new IllegalArgumentException(
            "attention.indexer.size: expected at least rotary.dimensions "
                + rotary.dimensions()
                + ", found "
                + indexer.size());
      }
    }

    /** Width of the key that all heads share, which positions turn where they turn anything. */
    @JsonIgnore
    public int shared() {
      return rotary == null ? Objects.requireNonNull(sharedSize) : rotary.dimensions();
    }

    /** Width of a query or key head. */
    @JsonIgnore
    public int headSize() {
      return plainSize + shared();
    }

    @Override
    public MultiHeadLatent withRotary(@Nullable Rotary other) {
      Map<String, @Nullable Object> members = new HashMap<>();
      members.put("rotary", other);
      members.put("sharedSize", other == null ? shared() : null);
      return Parts.with(this, members);
    }

    @Override
    public MultiHeadLatent withScale(double other) {
      return Parts.with(this, "scale", other);
    }

    @Override
    public long cachedPerToken() {
      return latentSize + (long) shared() + indexed();
    }

    @Override
    public long expandedPerToken() {
      return (long) heads * (headSize() + valueSize) + indexed();
    }

    private int indexed() {
      return indexer == null ? 0 : indexer.size();
    }
  }

  /**
   * Entries that stand for tokens further back (DeepSeek-AI, "DeepSeek-V4", 2026, sections 2.3.1
   * and 2.3.2; transformers {@code models/deepseek_v4/modeling_deepseek_v4.py}). Every {@code
   * tokens} tokens make one, when the last of them has come: dimension by dimension,
   *
   * <pre>
   * c = entry · x, z = entry_gate · x + entry_place[position mod tokens]
   * e = rotate(rmsnorm(Σ_j softmax_j(z_j) c_j)), to the position of the first of them
   * </pre>
   *
   * <p>Where they overlap, c and z are twice as wide: the second half is of the entry of a token's
   * own window, the first half of the one after.
   *
   * @param tokens in a window
   * @param overlapping whether an entry is also of the window before
   * @param indexer which entries a token sees, its keys being made as entries are; null if all
   */
  record Compression(
      int tokens,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean overlapping,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Indexer indexer) {
    public Compression {
      Limits.require("attention.compression.tokens", tokens, 1, Limits.MAX_WIDTH);
    }

    /** Columns of c, where an entry has so many. */
    public long width(int size) {
      return overlapping ? 2L * size : size;
    }

    /** Tokens that an entry is made of, at most. */
    public int span() {
      return overlapping ? Math.multiplyExact(2, tokens) : tokens;
    }

    /** c and z of those tokens. */
    private long kept(int size) {
      return 2L * span() * width(size);
    }
  }

  /**
   * Attention whose heads share one vector per token, which is key and value (DeepSeek-AI,
   * "DeepSeek-V4", 2026, section 2.3; transformers {@code
   * models/deepseek_v4/modeling_deepseek_v4.py}): to the tokens of a window, and to entries of
   * those before.
   *
   * <pre>
   * r   = rmsnorm(query_down · x)
   * q_i = rotate(rmsnorm(query_up · r)), without weights, per head
   * v   = rotate(rmsnorm(key_value · x))
   * o_i = softmax(scale · q_i [v; e]ᵀ + mask, with a sink) [v; e], rotated back by i's position
   * y   = output · [output_down_g · o of group g; …]
   * </pre>
   *
   * The last {@code rotary.dimensions} of a head are turned.
   *
   * @param queryRank width of r
   * @param window position i sees only tokens j > i − window
   * @param groups of neighbouring heads, which divides them
   * @param groupRank width of what a group's output is taken to
   * @param epsilon of the norms inside
   * @param compression null where a token sees its window alone
   */
  record Compressed(
      int heads,
      int headSize,
      int queryRank,
      double scale,
      int window,
      int groups,
      int groupRank,
      double epsilon,
      Rotary rotary,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Compression compression)
      implements Softmax {
    public Compressed {
      Limits.require("attention.heads", heads, 1, Limits.MAX_HEADS);
      Limits.require("attention.headSize", headSize, 1, Limits.MAX_WIDTH);
      Limits.require("attention.queryRank", queryRank, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("attention.scale", scale);
      Limits.require("attention.window", window, 1, Integer.MAX_VALUE);
      Limits.require("attention.groups", groups, 1, heads);
      Limits.require("attention.groupRank", groupRank, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("attention.epsilon", epsilon);
      Objects.requireNonNull(rotary, "attention.rotary is missing");
      if (heads % groups != 0) {
        throw new IllegalArgumentException(
            "attention.groups: expected a divisor of " + heads + " heads, found " + groups);
      }
      Indexer indexer = compression == null ? null : compression.indexer();
      int smallest = indexer == null ? headSize : Math.min(headSize, indexer.size());
      if (rotary.dimensions() > smallest) {
        throw new IllegalArgumentException(
            "attention.rotary.dimensions: expected at most the width of a head, "
                + smallest
                + ", found "
                + rotary.dimensions());
      }
    }

    /** The first token that position i sees. */
    public long firstSeen(long i) {
      return Math.max(0, i - window + 1);
    }

    @Override
    public Compressed withRotary(Rotary other) {
      return Parts.with(this, "rotary", other);
    }

    @Override
    public Compressed withScale(double other) {
      return Parts.with(this, "scale", other);
    }

    /** What a token is kept as, and its share of an entry and of the key of one. */
    @Override
    public long cachedPerToken() {
      if (compression == null) {
        return headSize;
      }
      Indexer indexer = compression.indexer();
      int entry = headSize + (indexer == null ? 0 : indexer.size());
      return headSize + (long) Math.ceilDiv(entry, compression.tokens());
    }

    @Override
    public long expandedPerToken() {
      return cachedPerToken();
    }

    /** What the tokens of a window have for its entry, and for the key of one. */
    @Override
    public long keptPerSequence() {
      if (compression == null) {
        return 0;
      }
      Indexer indexer = compression.indexer();
      return compression.kept(headSize) + (indexer == null ? 0 : compression.kept(indexer.size()));
    }
  }

  /** How the projections of {@link GatedDelta} are stored. */
  enum Projections {
    /** Those of queries, keys and values together, the others apart. */
    @JsonProperty("by_kind")
    BY_KIND,
    /**
     * Two matrices: of each key head the query, the key, its heads' values and their gates; and
     * what its heads write and how they decay.
     */
    @JsonProperty("by_key_head")
    BY_KEY_HEAD,
    /** All apart; queries, keys and values have a convolution each. */
    @JsonProperty("apart")
    APART
  }

  /**
   * The gated delta rule (Yang et al., "Gated Delta Networks", 2024, equation 10; transformers
   * {@code models/qwen3_next/modeling_qwen3_next.py}): no keys are kept, but of each value head a
   * matrix S [keySize, valueSize], which begins at zero, fades, and in which the value at a key is
   * replaced in part. Value head i reads key head j = i · keyHeads / valueHeads.
   *
   * <pre>
   * [q; k; v] = silu(convolution of mixed · x)   the last {@code convolution} tokens, by channel
   * q_j, k_j  = q_j / (‖q_j‖ √keySize), k_j / ‖k_j‖     ‖x‖ = sqrt(Σ x² + unitEpsilon)
   * d         = exp(−exp(decay_rate) · softplus(decay · x + decay_shift))     one per value head
   * b         = σ(write · x)                                                   likewise
   * S_i       = d_i S_i + k_j (b_i (v_i − d_i S_iᵀ k_j))ᵀ
   * o_i       = rmsnorm(S_iᵀ q_j) ∘ silu(gate · x)_i
   * y         = output · [o_1; …]
   * </pre>
   *
   * <p>Kimi delta attention (Kimi Team, "Kimi Linear", 2025, section 3; transformers {@code
   * models/kimi_linear/modeling_kimi_linear.py}) is the same rule with decays of each row of a
   * state, decay_up · decay_down · x in the place of decay · x, and gates gate_up · gate_down · x,
   * which a sigmoid opens.
   *
   * @param keyHeads heads of queries and keys; divides valueHeads
   * @param valueHeads heads of values
   * @param keySize width of a query or key
   * @param valueSize width of a value
   * @param convolution tokens that the convolution spans, the last one included
   * @param unitEpsilon keeps the length of a query or key from being zero
   * @param normEpsilon epsilon of the norm of what is read, whose weights all heads share
   * @param projections how they are stored
   * @param decayRank width of the latent that decays come from, of which each row of a state has
   *     one, all at the rate of their head; null where a state decays as a whole, by one matrix
   * @param gateRank width of the latent that gates come from; null where they come from one matrix
   * @param sigmoidGates whether a sigmoid opens gates in the place of silu
   */
  record GatedDelta(
      int keyHeads,
      int valueHeads,
      int keySize,
      int valueSize,
      int convolution,
      double unitEpsilon,
      double normEpsilon,
      Projections projections,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer decayRank,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Integer gateRank,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean sigmoidGates)
      implements Recurrent {
    /** Without anything that such a layer may lack. */
    public GatedDelta(
        int keyHeads,
        int valueHeads,
        int keySize,
        int valueSize,
        int convolution,
        double unitEpsilon,
        double normEpsilon,
        Projections projections) {
      this(
          keyHeads,
          valueHeads,
          keySize,
          valueSize,
          convolution,
          unitEpsilon,
          normEpsilon,
          projections,
          null,
          null,
          false);
    }

    public GatedDelta {
      Limits.require("attention.valueHeads", valueHeads, 1, Limits.MAX_HEADS);
      Limits.require("attention.keyHeads", keyHeads, 1, valueHeads);
      Limits.require("attention.keySize", keySize, 1, Limits.MAX_WIDTH);
      Limits.require("attention.valueSize", valueSize, 1, Limits.MAX_WIDTH);
      Limits.require("attention.convolution", convolution, 1, Limits.MAX_TAPS);
      Limits.requirePositive("attention.unitEpsilon", unitEpsilon);
      Limits.requirePositive("attention.normEpsilon", normEpsilon);
      Objects.requireNonNull(projections, "attention.projections is missing");
      Limits.require(
          "attention's queries, keys, values and gates together",
          2 * Math.addExact((long) keyHeads * keySize, (long) valueHeads * valueSize),
          1,
          Limits.MAX_WIDTH);
      requireRank("decayRank", decayRank, projections);
      requireRank("gateRank", gateRank, projections);
      if (decayRank != null) {
        Limits.require("attention's decays", (long) valueHeads * keySize, 1, Limits.MAX_WIDTH);
      }
      if (valueHeads % keyHeads != 0) {
        throw new IllegalArgumentException(
            "attention.keyHeads: expected a divisor of "
                + valueHeads
                + " value heads, found "
                + keyHeads);
      }
    }

    private static void requireRank(
        String member, @Nullable Integer rank, Projections projections) {
      if (rank == null) {
        return;
      }
      Limits.require("attention." + member, rank, 1, Limits.MAX_WIDTH);
      if (projections == Projections.BY_KEY_HEAD) {
        throw new IllegalArgumentException(
            "attention."
                + member
                + ": expected none where projections are by_key_head, found "
                + rank);
      }
    }

    /** What the heads of a layer keep. */
    @JsonIgnore
    public Ops.States states() {
      return new Ops.States(keyHeads, valueHeads, keySize, valueSize, decayRank != null);
    }

    /** Width of all queries, or of all keys. */
    @JsonIgnore
    public long keys() {
      return (long) keyHeads * keySize;
    }

    /** Width of all values. */
    @JsonIgnore
    public long values() {
      return (long) valueHeads * valueSize;
    }

    @Override
    public long keptPerSequence() {
      return values() * keySize + (convolution - 1) * (2 * keys() + values());
    }
  }

  /**
   * A short convolution between two gates (Liquid AI, "LFM2 Technical Report", 2025; transformers
   * {@code models/lfm2_moe/modeling_lfm2_moe.py}): a token sees the few that came last.
   *
   * <pre>
   * [b; c; v] = input · x                                 each [T, width]
   * m         = convolution of b ∘ v      the last {@code convolution} tokens, by channel
   * y         = output · (c ∘ m)
   * </pre>
   *
   * @param width channels
   * @param convolution tokens that it spans, the last one included
   * @param biases whether input, convolution and output have stored biases
   */
  record ShortConvolution(
      int width, int convolution, @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean biases)
      implements Recurrent {
    public ShortConvolution {
      Limits.require("attention.width", width, 1, Limits.MAX_WIDTH / 3);
      Limits.require("attention.convolution", convolution, 1, Limits.MAX_TAPS);
    }

    @Override
    public long keptPerSequence() {
      return (convolution - 1L) * width;
    }
  }

  /**
   * Mamba (Gu and Dao, "Mamba", 2023, section 3), whose steps, keys and queries are normed (AI21,
   * "Jamba", 2024; transformers {@code models/jamba/modeling_jamba.py}): of each channel a vector S
   * [stateSize] is kept, which begins at zero, decays number by number, and to which each token
   * adds.
   *
   * <pre>
   * [v; z]     = input · x                                    each [T, width]
   * v          = silu(convolution of v)         the last {@code convolution} tokens, by channel
   * [t; k; q]  = parameters · v                 t [T, stepRank], k and q [T, stateSize]
   * s          = softplus(step · rmsnorm(t) + step_shift)                     one per channel
   * S_c        = exp(−exp(decay_rate_c) s_c) ∘ S_c + rmsnorm(k) s_c v_c
   * o_c        = S_c · rmsnorm(q) + skip_c v_c
   * y          = output · (o ∘ silu(z))
   * </pre>
   *
   * @param width channels
   * @param stateSize width of a key or query
   * @param stepRank width that steps are made of
   * @param convolution tokens that the convolution spans, the last one included
   * @param normEpsilon epsilon of the norms inside
   * @param convolutionBias whether the convolution has a stored bias
   * @param biases whether input and output have one
   */
  record Mamba(
      int width,
      int stateSize,
      int stepRank,
      int convolution,
      double normEpsilon,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean convolutionBias,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean biases)
      implements Recurrent {
    public Mamba {
      Limits.require("attention.width", width, 1, Limits.MAX_WIDTH / 2);
      Limits.require("attention.stateSize", stateSize, 1, Limits.MAX_WIDTH);
      Limits.require("attention.stepRank", stepRank, 1, Limits.MAX_WIDTH);
      Limits.require("attention.convolution", convolution, 1, Limits.MAX_TAPS);
      Limits.requirePositive("attention.normEpsilon", normEpsilon);
      Limits.require(
          "attention's width times stateSize", (long) width * stateSize, 1, Limits.MAX_WIDTH);
      Limits.require(
          "attention's rows of parameters", stepRank + 2L * stateSize, 1, Limits.MAX_WIDTH);
    }

    @Override
    public long keptPerSequence() {
      return (long) width * stateSize + (convolution - 1L) * width;
    }
  }

  /**
   * Mamba-2 (Dao and Gu, "Transformers are SSMs", 2024, sections 6 and 7; transformers {@code
   * models/granitemoehybrid/modeling_granitemoehybrid.py}): of each head a matrix S [stateSize,
   * headSize] is kept, which begins at zero, decays by steps that follow from the token, and to
   * which each token adds. Head i reads and writes by group j = i · groups / heads.
   *
   * <pre>
   * [z; m; t]  = input · x                            z [T, heads · headSize], t [T, heads]
   * [v; k; q]  = silu(convolution of m)               the last {@code convolution} tokens, by channel
   * s          = max(softplus(t + step_shift), leastStep)          one per head
   * S_i        = exp(−exp(decay_rate_i) s_i) S_i + k_j (s_i v_i)ᵀ
   * o_i        = S_iᵀ q_j + skip_i v_i
   * y          = output · (norm ∘ rmsnorm(o ∘ silu(z)))
   * </pre>
   *
   * @param heads of values
   * @param groups of heads that share keys and queries; divides heads
   * @param headSize width of a value
   * @param stateSize width of a key or query
   * @param convolution tokens that the convolution spans, the last one included
   * @param normEpsilon epsilon of the norm of what is read
   * @param normGroups of neighbouring heads, over each of which that goes; divides heads
   * @param leastStep 0 where steps are as they come
   * @param convolutionBias whether the convolution has a stored bias
   * @param biases whether input and output have one
   */
  record Mamba2(
      int heads,
      int groups,
      int headSize,
      int stateSize,
      int convolution,
      double normEpsilon,
      int normGroups,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) double leastStep,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean convolutionBias,
      @JsonInclude(JsonInclude.Include.NON_DEFAULT) boolean biases)
      implements Recurrent {
    public Mamba2 {
      Limits.require("attention.heads", heads, 1, Limits.MAX_HEADS);
      Limits.require("attention.groups", groups, 1, heads);
      Limits.require("attention.headSize", headSize, 1, Limits.MAX_WIDTH);
      Limits.require("attention.stateSize", stateSize, 1, Limits.MAX_WIDTH);
      Limits.require("attention.convolution", convolution, 1, Limits.MAX_TAPS);
      Limits.requirePositive("attention.normEpsilon", normEpsilon);
      if (!(leastStep >= 0 && Double.isFinite(leastStep))) {
        throw new IllegalArgumentException(
            "attention.leastStep: expected a finite number from 0, found " + leastStep);
      }
      Limits.require("attention.normGroups", normGroups, 1, heads);
      if (heads % groups != 0) {
        throw new IllegalArgumentException(
            "attention.groups: expected a divisor of " + heads + " heads, found " + groups);
      }
      if (heads % normGroups != 0) {
        throw new IllegalArgumentException(
            "attention.normGroups: expected a divisor of " + heads + " heads, found " + normGroups);
      }
      long values = (long) heads * headSize;
      long keys = (long) groups * stateSize;
      Limits.require(
          "attention's rows of the input",
          Math.addExact(2 * Math.addExact(values, keys), heads),
          1,
          Limits.MAX_WIDTH);
    }

    /** Width of all values. */
    @JsonIgnore
    public int values() {
      return heads * headSize;
    }

    /** Width of all keys, or of all queries. */
    @JsonIgnore
    public int keys() {
      return groups * stateSize;
    }

    /** Width of what the convolution is given. */
    @JsonIgnore
    public int mixed() {
      return values() + 2 * keys();
    }

    @Override
    public long keptPerSequence() {
      return (long) values() * stateSize + (convolution - 1L) * mixed();
    }
  }

  /**
   * Lightning attention (Qin et al., "Lightning Attention-2", 2024; MiniMax, "MiniMax-01", 2025,
   * section 2.2; transformers {@code models/minimax/modeling_minimax.py}): of each head i, counted
   * from 1, a matrix S [headSize, headSize] is kept, which begins at zero, fades alike at every
   * token, and to which each token adds. Heads fade the slower, the higher their number, and those
   * of layer l of L, counted from 0, the slower, the higher l.
   *
   * <pre>
   * [q_i; k_i; v_i] = silu(input · x)                          head by head
   * r_i             = 2^(−8 i / heads) (1 − l / (L − 1 + ε) + ε)         ε = 10⁻⁵
   * S_i             = exp(−r_i) S_i + k_i v_iᵀ
   * o_i             = S_iᵀ q_i
   * y               = output · (rmsnorm([o_1; …]) ∘ σ(gate · x))
   * </pre>
   *
   * @param headSize width of a query, key or value
   * @param normEpsilon epsilon of the norm of what all heads read
   */
  record Lightning(int heads, int headSize, double normEpsilon) implements Recurrent {
    /** ε, without which states of the last layer would not fade at all. */
    private static final double LEAST = 1e-5;

    private static final int OCTAVES = 8;

    public Lightning {
      Limits.require("attention.heads", heads, 1, Limits.MAX_HEADS);
      Limits.require("attention.headSize", headSize, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("attention.normEpsilon", normEpsilon);
      Limits.require(
          "attention's queries, keys and values together",
          3L * heads * headSize,
          1,
          Limits.MAX_WIDTH);
    }

    /** Width of all queries, of all keys, or of all values. */
    @JsonIgnore
    public int width() {
      return heads * headSize;
    }

    /** r of each head in one of so many layers. */
    public double[] rates(int layer, int layers) {
      double ofLayer = 1 - layer / (layers - 1 + LEAST) + LEAST;
      double[] rates = new double[heads];
      for (int i = 0; i < heads; i++) {
        rates[i] = StrictMath.pow(2, -OCTAVES * (i + 1.0) / heads) * ofLayer;
      }
      return rates;
    }

    @Override
    public long keptPerSequence() {
      return (long) width() * headSize;
    }
  }
}
