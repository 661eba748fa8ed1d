package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.ort.Binding;
import dev.moxie.runtime.ort.Tensor;
import dev.moxie.runtime.plain.RotaryAngles;
import java.lang.foreign.Arena;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.function.Consumer;
import java.util.function.Supplier;
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
  private final Target target;
  private final Memory memory;
  private final Lowering lowering;
  private final List<RotaryAngles> angles;

  /** By name, the one that ran last at the end. */
  private final SequencedMap<String, Part> open = new LinkedHashMap<>();

  /** A graph that is loaded, and how wide what it gives is. */
  private record Part(LoadedGraph graph, Map<String, Integer> widths) {}

  /**
   * The parts of a package as graphs built for a target, whichever device they run on.
   *
   * @throws UnsupportedException once a part is asked for that no graph computes
   */
  public FusedLayers(MoxiePackage pack, Device device, Target target) {
    this.pack = pack;
    this.memory = device.memory();
    this.target = target;
    this.lowering = new Lowering(pack, target);
    this.angles = lowering.rotaries().stream().map(RotaryAngles::new).toList();
  }

  @Override
  public float[] embed(long[] ids) {
    Part part = part("embedding", lowering::embedding);
    try (Tensor tokens = Engine.longs(ids)) {
      return Objects.requireNonNull(
          run(part, ids.length, Map.of("ids", tokens), binding -> {}).get(Lowering.HIDDEN));
    }
  }

  @Override
  public float[] head(float[] hidden) {
    Part part = part("head", lowering::head);
    int tokens = tokens(hidden);
    try (Tensor states = states(hidden)) {
      return Objects.requireNonNull(
          run(part, tokens, Map.of(Lowering.HIDDEN, states), binding -> {}).get("logits"));
    }
  }

  @Override
  public Result layerAlone(int layer, long[] ids, float[] hidden, @Nullable List<int[]> experts) {
    Part part = part("layer " + layer, () -> lowering.layer(layer));
    int tokens = tokens(hidden);
    Map<String, Tensor> inputs = new HashMap<>();
    try (Arena arena = Arena.ofShared();
        Tensor states = states(hidden);
        Tensor chosen = Engine.longs(chosen(layer, tokens, experts));
        // Only their number is looked at.
        Tensor count = Engine.longs(new long[tokens]);
        Tensor last = Engine.integer(tokens - 1, 1);
        Tensor total = Engine.integer(tokens)) {
      inputs.put(Lowering.HIDDEN, states);
      inputs.put(Lowering.EXPERTS, chosen);
      inputs.put("ids", count);
      inputs.put("last_position", last);
      inputs.put("total_length", total);
      inputs.keySet().retainAll(part.graph().inputs());
      var turns = new Angles(memory, arena, angles, part.graph().inputs(), tokens);
      Map<String, float[]> results =
          run(
              part,
              tokens,
              inputs,
              binding -> {
                turns.bind(binding, 0, tokens);
                KeyValueCache.bind(
                    binding,
                    memory,
                    arena,
                    pack.architecture(),
                    IntStream.of(layer),
                    target,
                    tokens);
              });
      return result(layer, results, experts);
    }
  }

  private int tokens(float[] hidden) {
    return hidden.length / pack.architecture().hiddenSize();
  }

  private Tensor states(float[] hidden) {
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
          case FeedForward.Dense _, FeedForward.None _ -> 0;
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
      part = new Part(new LoadedGraph(pack, model, target, memory), widths(model.getGraph()));
      makeRoom(part.graph().bytes());
    }
    open.putLast(name, part);
    return part;
  }

  private void makeRoom(long bytes) {
    long all = bytes + open.values().stream().mapToLong(part -> part.graph().bytes()).sum();
    while (all > ROOM && !open.isEmpty()) {
      LoadedGraph oldest = open.pollFirstEntry().getValue().graph();
      all -= oldest.bytes();
      oldest.close();
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
   * @param more binds what else it takes and gives
   * @return what it gives for each token
   */
  private static Map<String, float[]> run(
      Part part, int tokens, Map<String, Tensor> inputs, Consumer<Binding> more) {
    Map<String, FloatBuffer> buffers = new HashMap<>();
    Map<String, Tensor> outputs = new HashMap<>();
    part.widths()
        .forEach(
            (name, width) -> {
              FloatBuffer buffer = FloatTensors.allocate(tokens, width);
              buffers.put(name, buffer);
              outputs.put(name, Engine.wrap(buffer, tokens, width));
            });
    try (Binding binding = part.graph().binding()) {
      more.accept(binding);
      Engine.run(binding, inputs, outputs);
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
      case FeedForward.Dense _, FeedForward.None _ -> new Result(output, null);
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
                null,
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
    open.values().forEach(part -> part.graph().close());
    open.clear();
    memory.close();
  }
}
