package dev.moxie.verifier.reference;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Recorded;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** What a trace must be to be compared with an architecture. */
final class TraceShape {
  /** Logits of the model with its experts in another order. */
  static final String PERMUTED = "permuted.logits";

  private static final Set<Precision> RECORDED =
      EnumSet.of(Precision.F32, Precision.F16, Precision.BF16);

  private TraceShape() {}

  /**
   * In which the trace was computed: what its metadata say, else float32.
   *
   * @throws CorruptException if they say something else than a precision that bounds are known for
   */
  static Precision precision(Trace trace) {
    String name = trace.metadata().getOrDefault("compute_dtype", Precision.F32.name());
    for (Precision precision : RECORDED) {
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
   * In what the model of a trace differs from an architecture, as far as shapes show it: what
   * computes something else cannot be compared number by number, and need not be.
   *
   * @param verified layers of the architecture; others may be missing
   */
  static List<String> differences(Trace trace, Architecture architecture, List<Integer> verified) {
    var differences = new Differences(trace);
    int layers = architecture.layers().size();
    if (verified.size() == layers) {
      int encoder = architecture.encoderLayers();
      if (encoder > 0) {
        differences.addIfOther(
            "layers of the encoder", encoder, recorded(trace, "encoder.layers.", encoder));
      }
      int decoder = layers - encoder;
      String names = encoder > 0 ? "decoder.layers." : "layers.";
      differences.addIfOther("layers", decoder, recorded(trace, names, decoder));
    }
    String input = Recorded.prefix(architecture, verified.getFirst()) + "input";
    differences.addWidth("the hidden size", input, architecture.hiddenSize(), null);
    differences.addWidth("the vocabulary", "logits", architecture.vocabSize(), null);
    for (int layer : verified) {
      String prefix = Recorded.prefix(architecture, layer);
      if (!trace.has(prefix + "input")) {
        continue;
      }
      String router = prefix + "router.";
      boolean routed = trace.has(router + "logits") || trace.has(router + "experts");
      switch (architecture.layers().get(layer).feedForward()) {
        case FeedForward.Dense _, FeedForward.None _ ->
            differences.addIf(routed, "dense in the package, with experts in the trace", layer);
        case FeedForward.MixtureOfExperts moe -> {
          differences.addIf(!routed, "with experts in the package, dense in the trace", layer);
          int chosen = moe.routing().expertsPerToken();
          differences.addWidth("experts", router + "logits", moe.logits(), layer);
          differences.addWidth("experts per token", router + "experts", chosen, layer);
        }
      }
    }
    return differences.sentences();
  }

  /**
   * Layers that were recorded; as many as expected where there is a gap: such a trace is not of
   * fewer layers but damaged, which shows where they are required.
   */
  private static int recorded(Trace trace, String names, int expected) {
    int recorded = 0;
    while (trace.has(names + recorded + ".input")) {
      recorded++;
    }
    boolean gap =
        IntStream.range(recorded, expected).anyMatch(l -> trace.has(names + l + ".input"));
    return gap ? expected : recorded;
  }

  /** Differences as they are found; layers that differ alike share a sentence. */
  private static final class Differences {
    private final Trace trace;
    private final Map<String, List<Integer>> found = new LinkedHashMap<>();

    Differences(Trace trace) {
      this.trace = trace;
    }

    void addIf(boolean differs, String what, @Nullable Integer layer) {
      if (differs) {
        List<Integer> layers = found.computeIfAbsent(what, key -> new ArrayList<>());
        if (layer != null) {
          layers.add(layer);
        }
      }
    }

    void addIfOther(String what, long expected, long recorded) {
      addIf(recorded > 0 && recorded != expected, words(what, expected, recorded), null);
    }

    void addWidth(String what, String tensor, long expected, @Nullable Integer layer) {
      Shape shape = trace.has(tensor) ? trace.shape(tensor) : Shape.of();
      if (shape.rank() == 2) {
        addIf(shape.dim(1) != expected, words(what, expected, shape.dim(1)), layer);
      }
    }

    private static String words(String what, long expected, long recorded) {
      return "%s: %d in the package, %d in the trace".formatted(what, expected, recorded);
    }

    List<String> sentences() {
      List<String> sentences = new ArrayList<>();
      found.forEach(
          (what, layers) -> sentences.add(layers.isEmpty() ? what : what + ", layers " + layers));
      return sentences;
    }
  }

  /**
   * Everything that will be read is there, before anything is computed for so many tokens.
   *
   * @param layers that will be verified
   * @throws CorruptException if it is not
   */
  static void require(Trace trace, Architecture architecture, List<Integer> layers) {
    requireTokens(trace, architecture, "input_ids", trace.inputIds());
    requireTokens(trace, architecture, "generated_ids", trace.generatedIds().orElse(new long[0]));
    var recorded = new Recorded(trace, architecture);
    if (architecture.encoder() != null) {
      requireTokens(trace, architecture, "decoder_input_ids", recorded.ids());
    }
    if (architecture.image() != null) {
      Shape all = Shape.of(architecture.maxPositions() - 1, architecture.image().patchSize());
      trace.require(Trace.PATCHES, Dtype.F32, all);
    }
    long each = architecture.streamWidth() / architecture.hiddenSize();
    for (int layer : layers) {
      int tokens = recorded.texts().of(layer).length;
      Shape hidden = Shape.of(tokens, architecture.hiddenSize());
      Shape streams = Shape.of(tokens * each, architecture.hiddenSize());
      String prefix = Recorded.prefix(architecture, layer);
      trace.require(prefix + "input", Dtype.F32, streams);
      trace.require(prefix + "output", Dtype.F32, streams);
      if (architecture.layers().get(layer).feedForward()
          instanceof FeedForward.MixtureOfExperts moe) {
        Shape chosen = Shape.of(tokens, moe.routing().expertsPerToken());
        trace.require(prefix + "router.experts", Dtype.I32, chosen);
        trace.require(prefix + "router.weights", Dtype.F32, chosen);
        trace.require(prefix + "experts.output", Dtype.F32, hidden);
        String dropped = prefix + "router.dropped";
        if (trace.has(dropped)) {
          trace.require(dropped, Dtype.I32, chosen);
        }
        String logits = prefix + "router.logits";
        if (trace.has(logits)) {
          trace.require(logits, Dtype.F32, Shape.of(tokens, moe.logits()));
        }
      }
    }
    int tokens = recorded.ids().length;
    Shape logits = Shape.of(recorded.answers(), architecture.vocabSize());
    if (layers.contains(architecture.layers().size() - 1)) {
      trace.require("logits", Dtype.F32, logits);
      for (int i = 0; i < recorded.predictions(); i++) {
        Shape fewer = Shape.of(tokens - 1 - i, architecture.vocabSize());
        trace.require(Recorded.prediction(i), Dtype.F32, fewer);
      }
    }
    if (trace.has(PERMUTED)) {
      trace.require(PERMUTED, Dtype.F32, logits);
    }
  }

  private static void requireTokens(
      Trace trace, Architecture architecture, String name, long[] ids) {
    for (long id : ids) {
      if (id < 0 || id >= architecture.vocabSize()) {
        throw new CorruptException(
            trace.path() + ", tensor \"" + name + "\"",
            "tokens from 0 to " + (architecture.vocabSize() - 1),
            String.valueOf(id),
            "the trace was not recorded from this model");
      }
    }
  }
}
