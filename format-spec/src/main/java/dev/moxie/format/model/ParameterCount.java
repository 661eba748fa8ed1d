package dev.moxie.format.model;

/**
 * How many parameters a model has, and how many one token uses.
 *
 * @param total every parameter, embedding and head included
 * @param active those that take part in one token's forward pass: all but the routed experts, and k
 *     of E of those. Whole embedding and head count, as published figures count them
 * @param readPerToken those whose bytes one decoding step reads: as active, but one row of the
 *     embedding
 * @param routed parameters of all routed experts
 */
public record ParameterCount(long total, long active, long readPerToken, long routed) {

  /**
   * Counts the parameters of an architecture.
   *
   * @throws ArithmeticException if a count exceeds 63 bits
   */
  public static ParameterCount of(Architecture architecture) {
    long total = 0;
    long routed = 0;
    long routedActive = 0;
    var layers = architecture.layers();
    for (TensorSpec spec : CanonicalTensors.of(architecture)) {
      long elements = spec.shape().elements();
      total = Math.addExact(total, elements);
      if (spec.stack() != null
          && spec.layer() != null
          && layers.get(spec.layer()).feedForward() instanceof FeedForward.MixtureOfExperts m) {
        routed = Math.addExact(routed, elements);
        long perExpert = elements / m.experts();
        routedActive =
            Math.addExact(
                routedActive, Math.multiplyExact(perExpert, m.routing().expertsPerToken()));
      }
    }
    long active = total - routed + routedActive;
    long embedding = (long) architecture.vocabSize() * architecture.hiddenSize();
    long notRead = architecture.tiedEmbeddings() ? 0 : embedding - architecture.hiddenSize();
    return new ParameterCount(total, active, active - notRead, routed);
  }
}
