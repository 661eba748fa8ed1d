package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtSession;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.plain.RotaryAngles;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Each part as a graph of its own, read from the same forward pass as the whole model's and built
 * of the same operators. Those that ran last stay open as long as they are small together: memory
 * is that, or one part's. For checks that hold each part to the oracle.
 */
public final class FusedLayers implements Layers {
  private static final int OWN_CHOICE = -1;

  /** Bytes of stored weights that are kept open beside those of the part that runs. */
  private static final long ROOM = 256L << 20;

  private final MoxiePackage pack;
  private final Device device;
  private final Target target;
  private final Lowering lowering;
  private final List<RotaryAngles> angles;

  /** By name, the one that ran last at the end. */
  private final SequencedMap<String, Part> open = new LinkedHashMap<>();

  /**
   * A graph that is loaded.
   *
   * @param inputs what it takes
   * @param widths how wide what it gives is
   * @param bytes of weights as they are stored
   */
  private record Part(
      OrtSession session, Set<String> inputs, Map<String, Integer> widths, long bytes) {}

  /**
   * The parts of a package as graphs built for a target, whichever device they run on.
   *
   * @throws UnsupportedException once a part is asked for that no graph computes
   */
  public FusedLayers(MoxiePackage pack, Device device, Target target) {
    this.pack = pack;
    this.device = device;
    this.target = target;
    this.lowering = new Lowering(pack, target);
    this.angles = lowering.rotaries().stream().map(RotaryAngles::new).toList();
  }

  @Override
  public float[] embed(long[] ids) {
    Part part = part("embedding", lowering::embedding);
    try (OnnxTensor tokens = Engine.longs(ids)) {
      return Objects.requireNonNull(
          run(part, ids.length, Map.of("ids", tokens), Map.of()).get(Lowering.HIDDEN));
    }
  }

  @Override
  public float[] head(float[] hidden) {
    Part part = part("head", lowering::head);
    int tokens = tokens(hidden);
    try (OnnxTensor states = states(hidden)) {
      return Objects.requireNonNull(
          run(part, tokens, Map.of(Lowering.HIDDEN, states), Map.of()).get("logits"));
    }
  }

  @Override
  public Result layerAlone(int layer, float[] hidden, @Nullable List<int[]> experts) {
    Part part = part("layer " + layer, () -> lowering.layer(layer));
    int tokens = tokens(hidden);
    Map<String, OnnxTensor> inputs = new HashMap<>();
    Map<String, OnnxTensor> outputs = new HashMap<>();
    try (var step = new dev.moxie.runtime.execution.Step(angles, 0, tokens);
        var cache = new KeyValueCache(pack.architecture(), IntStream.of(layer), target, tokens);
        OnnxTensor states = states(hidden);
        OnnxTensor chosen = Engine.longs(chosen(layer, tokens, experts));
        // Only their number is looked at.
        OnnxTensor ids = Engine.longs(new long[tokens])) {
      cache.bind(inputs, outputs);
      inputs.putAll(step.inputs());
      inputs.put(Lowering.HIDDEN, states);
      inputs.put(Lowering.EXPERTS, chosen);
      inputs.put("ids", ids);
      inputs.keySet().retainAll(part.inputs());
      return result(layer, run(part, tokens, inputs, outputs), experts);
    }
  }

  private int tokens(float[] hidden) {
    return hidden.length / pack.architecture().hiddenSize();
  }

  private OnnxTensor states(float[] hidden) {
    int width = pack.architecture().hiddenSize();
    FloatBuffer buffer = FloatTensors.allocate(tokens(hidden), width).put(hidden).flip();
    return Engine.wrap(buffer, tokens(hidden), width);
  }

  private long[] chosen(int layer, int tokens, @Nullable List<int[]> experts) {
    if (experts != null) {
      return experts.stream().flatMapToInt(Arrays::stream).asLongStream().toArray();
    }
    int k =
        switch (pack.architecture().layers().get(layer).feedForward()) {
          case FeedForward.Dense dense -> 0;
          case FeedForward.MixtureOfExperts moe -> moe.routing().expertsPerToken();
        };
    long[] own = new long[tokens * k];
    Arrays.fill(own, OWN_CHOICE);
    return own;
  }

  private Part part(String name, Supplier<OnnxMl.ModelProto> graph) {
    Part part = open.remove(name);
    if (part == null) {
      OnnxMl.ModelProto model = graph.get();
      long bytes = FusedModel.requireIntact(pack, model);
      makeRoom(bytes);
      part =
          new Part(
              Engine.session(model, pack.folder(), device),
              model.getGraph().getInputList().stream()
                  .map(OnnxMl.ValueInfoProto::getName)
                  .collect(Collectors.toSet()),
              widths(model.getGraph()),
              bytes);
    }
    open.putLast(name, part);
    return part;
  }

  private void makeRoom(long bytes) {
    long all = bytes + open.values().stream().mapToLong(Part::bytes).sum();
    while (all > ROOM && !open.isEmpty()) {
      Part oldest = open.pollFirstEntry().getValue();
      all -= oldest.bytes();
      Engine.close(oldest.session());
    }
  }

  /** Of the outputs that have a row for each token: not those of the cache. */
  private static Map<String, Integer> widths(OnnxMl.GraphProto graph) {
    Map<String, Integer> widths = new HashMap<>();
    for (OnnxMl.ValueInfoProto output : graph.getOutputList()) {
      List<OnnxMl.TensorShapeProto.Dimension> shape =
          output.getType().getTensorType().getShape().getDimList();
      if (shape.size() == 2) {
        widths.put(output.getName(), (int) shape.getLast().getDimValue());
      }
    }
    return widths;
  }

  /**
   * Runs a part.
   *
   * @param others outputs that the caller has room for
   * @return the rest of its outputs
   */
  private static Map<String, float[]> run(
      Part part, int tokens, Map<String, OnnxTensor> inputs, Map<String, OnnxTensor> others) {
    Map<String, FloatBuffer> buffers = new HashMap<>();
    Map<String, OnnxTensor> outputs = new HashMap<>(others);
    part.widths()
        .forEach(
            (name, width) -> {
              FloatBuffer buffer = FloatTensors.allocate(tokens, width);
              buffers.put(name, buffer);
              outputs.put(name, Engine.wrap(buffer, tokens, width));
            });
    try {
      Engine.run(part.session(), inputs, outputs);
    } finally {
      buffers.keySet().forEach(name -> Objects.requireNonNull(outputs.get(name)).close());
    }
    Map<String, float[]> results = new HashMap<>();
    buffers.forEach(
        (name, buffer) -> {
          float[] values = new float[buffer.remaining()];
          buffer.get(values);
          results.put(name, values);
        });
    return results;
  }

  private Result result(int layer, Map<String, float[]> values, @Nullable List<int[]> experts) {
    float[] output = value(values, Step.OUTPUT);
    return switch (pack.architecture().layers().get(layer).feedForward()) {
      case FeedForward.Dense dense -> new Result(output, null);
      case FeedForward.MixtureOfExperts moe -> {
        float[] scores = Objects.requireNonNull(values.get(Lowering.SCORES));
        yield new Result(
            output,
            new Mixture(
                value(values, Step.MOE_INPUT),
                value(values, Step.ROUTER_LOGITS),
                scores,
                values.getOrDefault(Lowering.CHOICE, scores),
                values.get(Lowering.GROUPS),
                decisions(values, moe.routing().expertsPerToken(), experts),
                value(values, Step.EXPERTS_OUTPUT),
                value(values, Step.MOE_OUTPUT)));
      }
    };
  }

  private static float[] value(Map<String, float[]> values, Step step) {
    return Objects.requireNonNull(values.get(step.id()), step.id());
  }

  private static List<Decision> decisions(
      Map<String, float[]> values, int k, @Nullable List<int[]> experts) {
    float[] own = value(values, Step.ROUTER_EXPERTS);
    float[] weights = value(values, Step.ROUTER_WEIGHTS);
    List<Decision> decisions = new ArrayList<>();
    for (int t = 0; t < own.length / k; t++) {
      int from = t * k;
      int[] chosen =
          experts == null
              ? IntStream.range(from, from + k).map(i -> (int) own[i]).toArray()
              : experts.get(t);
      decisions.add(new Decision(chosen, Arrays.copyOfRange(weights, from, from + k)));
    }
    return decisions;
  }

  @Override
  public void close() {
    open.values().forEach(part -> Engine.close(part.session()));
    open.clear();
  }
}
