package dev.moxie.format.model;

import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * How many parameters a model has, and how many one token uses. Publishers count the latter in two
 * ways: Mistral AI as {@code active} (12.9 B for Mixtral 8x7B), DeepSeek AI as {@code activeInside}
 * (37 B for DeepSeek-V3).
 *
 * @param total every parameter of the forward pass, embedding and head included, tables of experts
 *     not; layers for multi-token prediction are not part of it
 * @param active those that take part in one token's forward pass: all but the routed experts, and k
 *     of E of those, which is the most where some have no weights; whole embedding and head
 * @param activeInside as active, but only the matrices of attention, feed-forward and head: no
 *     embedding, norms or routers
 * @param readPerToken those whose bytes one decoding step reads: as active, but one row of the
 *     embedding
 * @param routed parameters of all routed experts
 * @param prediction parameters of the layers for multi-token prediction, copies of embedding and
 *     head included where they have any
 */
public record ParameterCount(
    long total, long active, long activeInside, long readPerToken, long routed, long prediction) {

  private static final Set<Role> OUTSIDE =
      EnumSet.of(
          Role.EMBEDDING,
          Role.IMAGE_PATCH,
          Role.IMAGE_PATCH_BIAS,
          Role.IMAGE_CLASS,
          Role.IMAGE_POSITION,
          Role.ATTENTION_NORM,
          Role.ATTENTION_NORM_BIAS,
          Role.ATTENTION_OUTPUT_NORM,
          Role.ATTENTION_QUERY_NORM,
          Role.ATTENTION_KEY_NORM,
          Role.ATTENTION_SINKS,
          Role.ATTENTION_LATENT_NORM,
          Role.FEED_FORWARD_NORM,
          Role.FEED_FORWARD_NORM_BIAS,
          Role.FEED_FORWARD_OUTPUT_NORM,
          Role.FINAL_NORM,
          Role.FINAL_NORM_BIAS,
          Role.ATTENTION_KEY_VALUE_NORM,
          Role.ATTENTION_ENTRY_NORM,
          Role.ROUTER,
          Role.ROUTER_BIAS,
          Role.ROUTER_PRIMARY,
          Role.ROUTER_PROJECTION,
          Role.ROUTER_PROJECTION_BIAS,
          Role.ROUTER_TEMPERATURE,
          Role.ROUTER_NORM,
          Role.ROUTER_FACTORS,
          Role.EXPERT_NORM,
          Role.EXPERT_OUTPUT_NORM,
          Role.DENSE_OUTPUT_NORM,
          Role.LAYER_FACTOR,
          Role.ATTENTION_DISTANCES,
          Role.ATTENTION_ROUTER,
          Role.CROSS_NORM,
          Role.CROSS_NORM_BIAS,
          Role.ENCODER_NORM,
          Role.ENCODER_NORM_BIAS);

  /**
   * Counts the parameters of an architecture whose layers for multi-token prediction have copies of
   * embedding and head.
   *
   * @throws ArithmeticException if a count exceeds 63 bits
   */
  public static ParameterCount of(Architecture architecture) {
    return of(architecture, copy -> true);
  }

  /**
   * Counts the parameters of an architecture.
   *
   * @param copies tells of a copy of embedding or head by its name whether it is there
   * @throws ArithmeticException if a count exceeds 63 bits
   */
  public static ParameterCount of(Architecture architecture, Predicate<String> copies) {
    long total = 0;
    long routed = 0;
    long routedActive = 0;
    long resting = 0;
    long outside = 0;
    for (TensorSpec spec : counted(architecture)) {
      long elements = spec.shape().elements();
      total = Math.addExact(total, elements);
      if (OUTSIDE.contains(spec.role()) && !isHead(spec, architecture)) {
        outside += elements;
      }
      if (spec.stack() != null) {
        routed = Math.addExact(routed, elements);
        routedActive = Math.addExact(routedActive, active(architecture, spec));
      } else {
        resting += elements - active(architecture, spec);
      }
    }
    long prediction = 0;
    for (TensorSpec spec : Tensors.ofPrediction(architecture)) {
      if (!spec.role().mayBeShared() || copies.test(spec.name())) {
        prediction = Math.addExact(prediction, spec.shape().elements());
      }
    }
    long active = total - routed - resting + routedActive;
    // Of either table a token reads one row.
    long rows =
        architecture.image() == null ? architecture.vocabSize() : architecture.maxPositions();
    long embedding = rows * architecture.hiddenSize();
    long notRead = architecture.tiedEmbeddings() ? 0 : embedding - architecture.hiddenSize();
    return new ParameterCount(
        total, active, active - outside, active - notRead, routed, prediction);
  }

  /** Tensors whose elements are parameters: not ids of experts, which nothing trains. */
  static List<TensorSpec> counted(Architecture architecture) {
    return Tensors.ofForwardPass(architecture).stream()
        .filter(spec -> spec.role() != Role.ROUTER_TABLE)
        .toList();
  }

  /** Elements of a tensor that take part in one token's forward pass. */
  static long active(Architecture architecture, TensorSpec spec) {
    long elements = spec.shape().elements();
    Attention.HeadExperts heads = headExperts(architecture, spec);
    if (heads != null) {
      return elements / heads.count() * heads.perToken();
    }
    if (spec.stack() == null
        || spec.layer() == null
        || !(architecture.layers().get(spec.layer()).feedForward()
            instanceof FeedForward.MixtureOfExperts m)) {
      return elements;
    }
    return elements / m.weighted() * Math.min(m.weighted(), m.routing().expertsPerToken());
  }

  /** Whose matrices stand in a tensor; null if no experts'. */
  private static Attention.@Nullable HeadExperts headExperts(
      Architecture architecture, TensorSpec spec) {
    boolean both = spec.role() == Role.ATTENTION_QUERY || spec.role() == Role.ATTENTION_OUTPUT;
    return both
            && spec.layer() != null
            && architecture.layers().get(spec.layer()).attention()
                instanceof Attention.GroupedQuery a
        ? a.headExperts()
        : null;
  }

  /** A tied embedding is the head as well. */
  private static boolean isHead(TensorSpec spec, Architecture architecture) {
    return architecture.tiedEmbeddings() && spec.role() == Role.EMBEDDING;
  }
}
