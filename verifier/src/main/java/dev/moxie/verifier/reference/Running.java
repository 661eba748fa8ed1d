package dev.moxie.verifier.reference;

import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.FusedLayers;
import dev.moxie.runtime.execution.FusedModel;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.verifier.oracle.Precision;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * How a package is run to be verified.
 *
 * @param target what graphs are built for
 * @param executions one that must be run, or several of which those are that run such a model
 */
public record Running(Device device, Target target, Set<Execution> executions) {

  public Running {
    Set<Execution> inOrder = EnumSet.noneOf(Execution.class);
    inOrder.addAll(executions);
    executions = Collections.unmodifiableSet(inOrder);
  }

  /** On a device, as it runs packages otherwise. */
  public static Running on(Device device, Set<Execution> executions) {
    return new Running(device, device.target(), executions);
  }

  /** On the CPU. */
  public static Running onCpu(Set<Execution> executions) {
    return on(Device.CPU, executions);
  }

  /** The same with some of the executions. */
  public Running with(Set<Execution> some) {
    return new Running(device, target, some);
  }

  /** Whether it rounds no more than any reference, as float32 does. */
  public boolean roundsAsReferences() {
    return device == Device.CPU && target.equals(Target.CPU);
  }

  /** What references are held to; null where that rounds no more than any of them. */
  @Nullable Precision rounding() {
    return roundsAsReferences() ? null : precision();
  }

  /** What is computed in. */
  public Precision precision() {
    return precision(device, target);
  }

  /**
   * What graphs compute in: kernels of the CPU provider add up in what they store, those of CUDA in
   * float32.
   */
  public static Precision precision(Device device, Target target) {
    return switch (target.compute()) {
      case F32 -> Precision.F32;
      case F16 -> device == Device.CUDA ? Precision.MIXED : Precision.F16;
      case BF16 -> Precision.BF16;
      default -> throw new IllegalArgumentException(target.compute().toString());
    };
  }

  /** The parts of a package, each alone. */
  Layers parts(MoxiePackage pack, LoweringProof proof) {
    return roundsAsReferences()
        ? PlainModel.open(pack, proof)
        : new FusedLayers(pack, device, target);
  }

  /** The whole of it. */
  public Model open(Execution execution, MoxiePackage pack, LoweringProof proof) {
    return execution == Execution.FUSED
        ? FusedModel.open(pack, device, target, proof)
        : execution.open(pack, device, proof);
  }

  /** The same with experts in another order. */
  public Model openPermuted(Execution execution, MoxiePackage pack, LoweringProof proof) {
    return execution == Execution.FUSED
        ? FusedModel.openPermuted(pack, device, target, proof)
        : execution.openPermuted(pack, device, proof);
  }
}
