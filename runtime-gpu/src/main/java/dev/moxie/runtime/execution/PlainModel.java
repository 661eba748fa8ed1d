package dev.moxie.runtime.execution;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Forward;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Step;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.plain.ExpertMemory;
import dev.moxie.runtime.plain.PackageWeights;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Past;
import dev.moxie.runtime.plain.PermutedWeights;
import dev.moxie.runtime.plain.Program;
import dev.moxie.runtime.plain.Value;
import dev.moxie.runtime.plain.Weights;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass in Java, on the weights where they lie. It shows what each layer does, and takes
 * a layer alone.
 */
public final class PlainModel implements Model, Layers {
  private static final float[] NO_LOGITS = new float[0];

  private final MoxiePackage pack;
  private final PlainLayers layers;
  private final Sequences own;
  private final float[] last;

  /** The one token that {@link #next} is mostly given, and the step of it. */
  private final long[] token = new long[1];

  /** The sequence of a model with an encoder, or whose layers look ahead; null of any other. */
  private final @Nullable Anew anew;

  /** What layers of the decoder that run alone see of an encoder. */
  private float[] read = new float[0];

  private Sequence sequence;
  private List<Sequences.Slice> tokenStep;

  /**
   * Opens a package: its weights are mapped and checked, experts when a token first needs them.
   *
   * @throws UnsupportedException if the package's numbers are none that can be computed with
   */
  public static PlainModel open(MoxiePackage pack, LoweringProof proof) {
    return opening(pack, false).proven(new PlainModel(pack, new PackageWeights(pack)), proof);
  }

  private PlainModel(MoxiePackage pack, Weights weights) {
    this.pack = pack;
    layers = new PlainLayers(pack.architecture(), weights);
    own = new Sequences(layers, Long.MAX_VALUE, null);
    Architecture architecture = pack.architecture();
    boolean alone = architecture.encoder() != null || architecture.looksAhead();
    anew = alone ? new Anew(layers) : null;
    last = new float[pack.architecture().vocabSize()];
    sequence = own.begin(0);
    tokenStep = List.of(new Sequences.Slice(sequence, token, last));
  }

  /**
   * Sequences on the same weights, beside the one of this model.
   *
   * @param bytes of memory that they may take for what layers keep of their tokens
   * @throws UnsupportedException if what becomes of a token depends on those after it
   */
  public Sequences sequences(long bytes) {
    requireSequences();
    return new Sequences(layers, bytes, null);
  }

  /**
   * The same, of which the first layer for multi-token prediction guesses tokens; nothing checks
   * its weights, since they cannot change a text.
   *
   * @throws UsageException if the package has no such layer, or layers that keep a state
   */
  public Sequences guessingSequences(long bytes) {
    requireSequences();
    return new Sequences(layers, bytes, SpeculativeModel.predictionOfTexts(pack));
  }

  /** Likewise for one text, in memory without a limit; layers may keep a state. */
  Sequences guessingOne() {
    requireSequences();
    return new Sequences(layers, Long.MAX_VALUE, SpeculativeModel.prediction(pack));
  }

  private void requireSequences() {
    if (anew != null) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "a model without an encoder, in which no token depends on those after it",
          architecture().encoder() == null
              ? "experts that drop tokens by how many there are"
              : "one with an encoder",
          "use moxie run, which takes one text at a time");
    }
  }

  /**
   * This model with guesses of its first layer for multi-token prediction; closing it closes this
   * one.
   *
   * @throws UsageException if the package has no such layer
   */
  public SpeculativeModel speculative() {
    return new SpeculativeModel(this);
  }

  /** The same with the experts in another order ({@link ExpertOrder}). */
  static PlainModel openPermuted(MoxiePackage pack, LoweringProof proof) {
    var weights = new PermutedWeights(pack.architecture(), new PackageWeights(pack));
    return opening(pack, true).proven(new PlainModel(pack, weights), proof);
  }

  private static Opening opening(MoxiePackage pack, boolean permuted) {
    return new Opening(pack, Execution.PLAIN, Device.CPU, Target.CPU, permuted);
  }

  @Override
  public void begin(int capacity) {
    if (anew != null) {
      anew.begin();
      return;
    }
    sequence.close();
    sequence = own.begin(capacity);
    tokenStep = List.of(new Sequences.Slice(sequence, token, last));
  }

  @Override
  public void read(long[] text) {
    if (architecture().encoder() == null || anew == null) {
      Model.super.read(text);
      return;
    }
    anew.read(text, layer -> {});
  }

  @Override
  public void see(float[] patches) {
    if (architecture().image() == null) {
      Model.super.see(patches);
    }
    pass().see(patches);
  }

  @Override
  public float[] append(long[] ids) {
    if (anew != null) {
      return anew.append(ids);
    }
    float[] logits = new float[Math.multiplyExact(ids.length, last.length)];
    own.step(List.of(new Sequences.Slice(sequence, ids, logits)));
    return logits;
  }

  /** Computes logits of the last token alone, and allocates nothing for one token. */
  @Override
  public float[] next(long[] ids) {
    if (anew != null) {
      return Model.super.next(ids);
    }
    if (ids.length == 1) {
      token[0] = ids[0];
      own.step(tokenStep);
    } else {
      own.step(List.of(new Sequences.Slice(sequence, ids, last)));
    }
    return last;
  }

  @Override
  public int length() {
    return anew != null ? anew.length() : sequence.length();
  }

  /** Is shown what each layer did, first layer first. */
  @FunctionalInterface
  public interface LayerObserver {
    void accept(int layer, Result result);
  }

  /**
   * As {@link #append}, but shows what the layers do instead of computing logits; an encoder reads
   * the same tokens first.
   */
  public void observe(long[] ids, LayerObserver observer) {
    if (anew != null) {
      if (architecture().encoder() != null) {
        anew.read(ids, layer -> observer.accept(layer, result(layer)));
      }
      anew.pass(ids, layer -> observer.accept(layer, result(layer)));
      return;
    }
    own.step(
        List.of(new Sequences.Slice(sequence, ids, NO_LOGITS)),
        ids.length,
        layer -> observer.accept(layer, result(layer)));
  }

  @Override
  public float[] embed(long[] ids) {
    pass().begin(null);
    pass().add(new Past(), 0, ids, 0, ids.length);
    layers.embedding().program().run();
    return pass().copy(layers.embedding().output());
  }

  @Override
  public float[] head(float[] hidden) {
    pass().begin(null);
    pass().add(new Past(), 0, hidden.length / architecture().streamWidth());
    alone(layers.head(), hidden);
    return pass().copy(layers.head().output());
  }

  @Override
  public void read(float[] hidden) {
    pass().begin(null);
    pass().add(new Past(), 0, hidden.length / architecture().hiddenSize());
    alone(layers.encoded(), hidden);
    read = pass().copy(layers.encoded().output());
  }

  @Override
  public Result layerAlone(int layer, long[] ids, float[] hidden, @Nullable List<int[]> experts) {
    var past = new Past();
    if (architecture().encoder() != null && layer >= architecture().encoderLayers()) {
      pass().begin(null);
      pass().add(past, 0, read.length / architecture().hiddenSize());
      layers.remember(layer, read);
    }
    pass().begin(experts);
    pass().add(past, 0, ids, 0, ids.length);
    alone(layers.layer(layer), hidden);
    return result(layer);
  }

  private void alone(PlainLayers.Part part, float[] hidden) {
    pass().set(part.input(), hidden);
    part.program().run();
  }

  private Result result(int layer) {
    Pass pass = pass();
    Program program = layers.layer(layer).program();
    float[] output = pass.copy(layers.layer(layer).output());
    return switch (architecture().layers().get(layer).feedForward()) {
      case FeedForward.Dense _, FeedForward.None _ -> new Result(output, null);
      case FeedForward.MixtureOfExperts moe ->
          new Result(
              output,
              new Mixture(
                  pass.copy(program.step(Step.MOE_INPUT)),
                  pass.copy(program.step(Step.ROUTER_LOGITS)),
                  pass.copy(program.scores()),
                  pass.copy(program.choice()),
                  program.groups() == null ? null : pass.copy(program.groups()),
                  decisions(program),
                  moe.routing().drops() == null
                      ? null
                      : pass.copy(program.step(Step.ROUTER_DROPPED)),
                  pass.copy(program.step(Step.EXPERTS_OUTPUT)),
                  pass.copy(program.step(Step.MOE_OUTPUT))));
    };
  }

  private List<Decision> decisions(Program program) {
    Value chosen = program.step(Step.ROUTER_EXPERTS);
    float[] ids = pass().copy(chosen);
    float[] weights = pass().copy(program.step(Step.ROUTER_WEIGHTS));
    int k = chosen.columns();
    List<Decision> decisions = new ArrayList<>();
    for (int from = 0; from < ids.length; from += k) {
      int[] experts = new int[k];
      for (int i = 0; i < k; i++) {
        experts[i] = (int) ids[from + i];
      }
      decisions.add(new Decision(experts, Arrays.copyOfRange(weights, from, from + k)));
    }
    return decisions;
  }

  /** The stored bias of each expert's score in a layer; empty where routing has none. */
  public float[] routerBias(int layer, FeedForward.MixtureOfExperts moe) {
    return moe.routing().hasBiasOfScores()
        ? layers.weights().vector(Forward.routerBias(layer, moe))
        : new float[0];
  }

  /**
   * Keeps no more of the weights in memory than that, of which experts have what others leave.
   *
   * @param bytes at least what every token passes and the experts of one token in two layers, of
   *     which those of one are let go while the other's are fetched
   * @throws UsageException if that is more
   * @throws EnvironmentException if the system takes no advice about memory, or not for these files
   */
  public ExpertMemory limitMemory(long bytes) {
    long always = 0;
    long[] chosen = new long[architecture().layers().size()];
    for (TensorSpec tensor : Tensors.ofForwardPass(architecture())) {
      if (tensor.stack() == null) {
        always += bytes(tensor.whole());
      } else if (tensor.layer() != null) {
        chosen[tensor.layer()] += chosenBytes(tensor, tensor.stack(), tensor.layer());
      }
    }
    long choice = Arrays.stream(chosen).max().orElse(0);
    long least = always + 2 * choice;
    if (bytes < least) {
      throw new UsageException(
          "--memory-budget",
          "at least %d bytes, %d of them for what every token passes and the others for the experts"
                  .formatted(least, always)
              + " of one token in two layers",
          String.valueOf(bytes),
          "pass more");
    }
    var memory = new ExpertMemory(bytes - always - choice);
    memory.requireReleasable(pack);
    for (TensorSpec tensor : Tensors.ofForwardPass(architecture())) {
      if (tensor.stack() != null) {
        tensor.leaves().forEach(leaf -> layers.weights().places(leaf).forEach(memory::release));
      }
    }
    pass().keepExperts(memory);
    return memory;
  }

  private long bytes(TensorSpec.Leaf leaf) {
    return layers.weights().places(leaf).stream().mapToLong(MemorySegment::byteSize).sum();
  }

  /** Bytes that one token's experts have in a stack. */
  private long chosenBytes(TensorSpec tensor, TensorSpec.Stack stack, int layer) {
    long each = 0;
    for (Projection projection : stack.projections()) {
      each += bytes(tensor.leaf(stack.firstExpert(), projection));
    }
    return switch (architecture().layers().get(layer).feedForward()) {
      case FeedForward.Dense _, FeedForward.None _ -> 0;
      case FeedForward.MixtureOfExperts moe ->
          Math.min(moe.weighted(), moe.routing().expertsPerToken()) * each;
    };
  }

  /** Bytes of the matrices that tokens were multiplied with so far: {@link Pass#weightBytes}. */
  public long weightBytes() {
    return pass().weightBytes();
  }

  private Pass pass() {
    return layers.pass();
  }

  /** What the model computes. */
  public Architecture architecture() {
    return layers.architecture();
  }

  @Override
  public void close() {}
}
