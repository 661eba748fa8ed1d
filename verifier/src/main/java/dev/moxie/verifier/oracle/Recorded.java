package dev.moxie.verifier.oracle;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Step;
import dev.moxie.format.trace.Trace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * What a trace recorded of a model, step by step, as values without error.
 *
 * @param model as which the trace is read
 */
public record Recorded(Trace trace, Architecture model) {

  /** What names of a layer's tensors begin with in a trace of a model. */
  public static String prefix(Architecture model, int layer) {
    int encoder = model.encoderLayers();
    if (encoder == 0) {
      return "layers." + layer + ".";
    }
    return layer < encoder
        ? "encoder.layers." + layer + "."
        : "decoder.layers." + (layer - encoder) + ".";
  }

  /** The name of a step in the trace. */
  public String name(int layer, Step step) {
    return prefix(model, layer) + step.id();
  }

  /** The tokens that logits were recorded of, [T]. */
  public long[] ids() {
    return model.encoder() == null ? trace.inputIds() : trace.decoderInputIds();
  }

  /** The tokens that each layer has. */
  public Texts texts() {
    return new Texts(model.encoderLayers(), trace.inputIds(), ids());
  }

  /** Whether a step of a layer was recorded. */
  public boolean has(int layer, Step step) {
    return trace.has(name(layer, step)) && !(step == Step.MOE_OUTPUT && isWithoutShared(layer));
  }

  /**
   * Whether the output of a block lacks that of shared experts, which the reference has beside it:
   * it repeats what the routed ones make.
   */
  private boolean isWithoutShared(int layer) {
    return model.layers().get(layer).feedForward() instanceof FeedForward.MixtureOfExperts m
        && m.shared() != null
        && trace.has(name(layer, Step.EXPERTS_OUTPUT))
        && Arrays.equals(
            get(layer, Step.MOE_OUTPUT).toFloats(), get(layer, Step.EXPERTS_OUTPUT).toFloats());
  }

  /** A step of a layer, one row per token. */
  public Estimate get(int layer, Step step) {
    return get(
        name(layer, step),
        texts().of(layer).length,
        switch (step) {
          case ROUTER_LOGITS -> moe(layer).logits();
          case ROUTER_EXPERTS, ROUTER_DROPPED, ROUTER_WEIGHTS ->
              moe(layer).routing().expertsPerToken();
          case INPUT, OUTPUT -> model.streamWidth();
          case MOE_INPUT, EXPERTS_OUTPUT, MOE_OUTPUT -> model.hiddenSize();
        });
  }

  /** The patches of the image that the model reads, of all tokens but the first. */
  public Estimate patches() {
    int size = Objects.requireNonNull(model.image()).patchSize();
    return get(Trace.PATCHES, ids().length - 1, size);
  }

  /** Rows of logits: one for each token, or one of an image. */
  public int answers() {
    return model.image() == null ? ids().length : 1;
  }

  /** The logits, [T, V], or of an image, [1, V]. */
  public Estimate logits() {
    return get("logits", answers(), model.vocabSize());
  }

  private Estimate get(String name, int rows, int columns) {
    return Estimate.exact(floats(name, rows, columns), columns);
  }

  /** Values of a tensor, one row per token; a trace has a row for each of its residual streams. */
  public float[] floats(String name, int tokens, int columns) {
    boolean between = name.matches("layers\\.[0-9]+\\.(input|output)");
    int each = between ? model.streamWidth() / model.hiddenSize() : 1;
    if (name.endsWith(Step.ROUTER_DROPPED.id())) {
      int[] flags = trace.ints(name, tokens, columns);
      float[] values = new float[flags.length];
      for (int i = 0; i < flags.length; i++) {
        values[i] = flags[i];
      }
      return values;
    }
    return trace.floats(name, Math.multiplyExact(tokens, each), columns / each);
  }

  /** The name of a prediction layer's logits. */
  public static String prediction(int index) {
    return "prediction." + index + ".logits";
  }

  /** The prediction layers of the model, from the first on, that the trace has logits of. */
  public int predictions() {
    int most = model.prediction() == null ? 0 : model.prediction().count();
    int count = 0;
    while (count < most && count < ids().length - 1 && trace.has(prediction(count))) {
      count++;
    }
    return count;
  }

  /** The logits of a prediction layer, [T − 1 − index, V]. */
  public Estimate predicted(int index) {
    return get(prediction(index), ids().length - 1 - index, model.vocabSize());
  }

  /**
   * The experts of each token in a layer that has some, one array [k] per token.
   *
   * @throws CorruptException if they are not k different experts of the layer
   */
  public List<int[]> experts(int layer) {
    int k = moe(layer).routing().expertsPerToken();
    String name = name(layer, Step.ROUTER_EXPERTS);
    int[] flat = trace.ints(name, texts().of(layer).length, k);
    List<int[]> experts = new ArrayList<>();
    for (int t = 0; t < flat.length / k; t++) {
      int[] chosen = Arrays.copyOfRange(flat, t * k, (t + 1) * k);
      boolean valid = Arrays.stream(chosen).allMatch(e -> e >= 0 && e < moe(layer).experts());
      if (!valid || Arrays.stream(chosen).distinct().count() != k) {
        throw new CorruptException(
            trace.path() + ", tensor \"" + name + "\", token " + t,
            k + " different experts below " + moe(layer).experts(),
            Arrays.toString(chosen),
            "the trace was not recorded from this model");
      }
      experts.add(chosen);
    }
    return experts;
  }

  private FeedForward.MixtureOfExperts moe(int layer) {
    return (FeedForward.MixtureOfExperts) model.layers().get(layer).feedForward();
  }
}
