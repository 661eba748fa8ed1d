package dev.moxie.runtime.execution;

import ai.onnx.proto.OnnxMl;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.runtime.kernels.Logits;
import dev.moxie.runtime.lowering.Lowering;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.runtime.plain.RotaryAngles;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** One graph for the whole model; the provider routes inside its MoE operator. */
public final class FusedModel implements Model {
  private final MoxiePackage pack;
  private final Target target;
  private final List<RotaryAngles> angles;
  private final Memory memory;
  private final LoadedGraph loaded;
  private @Nullable FusedSequence sequence;
  private int capacity;
  private int length;

  /**
   * Opens a package as a graph built for a target, whichever device it runs on.
   *
   * @throws UnsupportedException if no graph computes such a model, or its numbers are none that
   *     can be computed with
   */
  public static FusedModel open(
      MoxiePackage pack, Device device, Target target, LoweringProof proof) {
    return opening(pack, device, target, false)
        .proven(new FusedModel(pack, device, new Lowering(pack, target), target), proof);
  }

  private FusedModel(MoxiePackage pack, Device device, Lowering lowering, Target target) {
    this.pack = pack;
    this.target = target;
    angles = lowering.rotaries().stream().map(RotaryAngles::new).toList();
    OnnxMl.ModelProto graph = lowering.wholeModel();
    memory = device.memory();
    try {
      loaded = new LoadedGraph(pack, graph, target, memory);
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
  }

  /** The same with the experts in another order ({@link ExpertOrder}). */
  public static FusedModel openPermuted(
      MoxiePackage pack, Device device, Target target, LoweringProof proof) {
    return opening(pack, device, target, true)
        .proven(new FusedModel(pack, device, Lowering.permuted(pack, target), target), proof);
  }

  private static Opening opening(
      MoxiePackage pack, Device device, Target target, boolean permuted) {
    return new Opening(pack, Execution.FUSED, device, target, permuted);
  }

  @Override
  public void begin(int tokens) {
    if (sequence == null || sequence.capacity() != tokens) {
      closeSequence();
      sequence = new FusedSequence(loaded, memory, pack.architecture(), target, angles, tokens);
    }
    capacity = tokens;
    length = 0;
  }

  @Override
  public float[] append(long[] ids) {
    return forward(ids, ids.length);
  }

  @Override
  public float[] next(long[] ids) {
    return forward(ids, 1);
  }

  private float[] forward(long[] ids, int wanted) {
    Tokens.require(ids, pack.architecture().vocabSize(), length, capacity);
    float[] logits = Objects.requireNonNull(sequence).append(ids, length, wanted);
    if (target.compute() == Dtype.F16) {
      // Hidden states of later tokens may be larger than those that opening tried.
      Logits.requireFinite(pack.folder() + ", FUSED in " + target.compute(), logits);
    }
    length += ids.length;
    return logits;
  }

  @Override
  public int length() {
    return length;
  }

  private void closeSequence() {
    if (sequence != null) {
      sequence.close();
      sequence = null;
    }
  }

  @Override
  public void close() {
    closeSequence();
    loaded.close();
    memory.close();
  }
}
