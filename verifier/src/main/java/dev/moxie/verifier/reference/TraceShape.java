package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.oracle.Precision;

/** What a trace must be to be compared with an architecture. */
final class TraceShape {
  private TraceShape() {}

  /**
   * In which the trace was computed: what its metadata say, else float32.
   *
   * @throws CorruptException if they say something else than a precision that bounds are known for
   */
  static Precision precision(Trace trace) {
    String name = trace.metadata().getOrDefault("compute_dtype", Precision.F32.name());
    for (Precision precision : Precision.values()) {
      if (precision.name().equals(name)) {
        return precision;
      }
    }
    throw new CorruptException(
        trace.path() + ", metadata compute_dtype",
        "F32, F16 or BF16",
        "\"" + name + "\"",
        "record the trace in one of these");
  }

  /**
   * Everything that will be read is there, before anything is computed for so many tokens.
   *
   * @throws CorruptException if it is not
   */
  static void require(Trace trace, Architecture architecture) {
    requireTokens(trace, architecture, "input_ids", trace.inputIds());
    requireTokens(trace, architecture, "generated_ids", trace.generatedIds().orElse(new long[0]));
    int tokens = trace.inputIds().length;
    Shape hidden = Shape.of(tokens, architecture.hiddenSize());
    for (int layer = 0; layer < architecture.layers().size(); layer++) {
      String prefix = "layers." + layer + ".";
      trace.require(prefix + "input", Dtype.F32, hidden);
      trace.require(prefix + "output", Dtype.F32, hidden);
      if (architecture.layers().get(layer).feedForward()
          instanceof FeedForward.MixtureOfExperts moe) {
        requireAsMany(trace, prefix + "router.experts", moe.routing().expertsPerToken());
        Shape chosen = Shape.of(tokens, moe.routing().expertsPerToken());
        trace.require(prefix + "experts.output", Dtype.F32, hidden);
        trace.require(prefix + "router.logits", Dtype.F32, Shape.of(tokens, moe.experts()));
        trace.require(prefix + "router.weights", Dtype.F32, chosen);
        trace.require(prefix + "router.experts", Dtype.I32, chosen);
      }
    }
    trace.require("logits", Dtype.F32, Shape.of(tokens, architecture.vocabSize()));
  }

  /** Another number of experts per token is a defect that has a name. */
  private static void requireAsMany(Trace trace, String name, int expertsPerToken) {
    Shape shape = trace.shape(name);
    if (shape.rank() == 2 && shape.dim(1) != expertsPerToken) {
      throw new CorruptException(
          trace.path() + ", tensor \"" + name + "\"",
          "as many experts per token as the package has, " + expertsPerToken,
          String.valueOf(shape.dim(1)),
          "the package's routing is not the reference's, or the trace is of another model");
    }
  }

  private static void requireTokens(
      Trace trace, Architecture architecture, String name, long[] ids) {
    for (long id : ids) {
      if (id < 0 || id >= architecture.vocabSize()) {
        throw new CorruptException(
            trace.path() + ", tensor \"" + name + "\"",
            "tokens below " + architecture.vocabSize(),
            String.valueOf(id),
            "the trace was not recorded from this model");
      }
    }
  }
}
