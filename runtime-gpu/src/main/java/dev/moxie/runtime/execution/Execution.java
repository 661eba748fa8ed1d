package dev.moxie.runtime.execution;

import com.sun.management.OperatingSystemMXBean;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.kernels.CudaMachine;
import dev.moxie.runtime.kernels.Decoder;
import dev.moxie.runtime.lowering.Lowering;
import java.lang.management.ManagementFactory;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/** How a model is run. */
public enum Execution {
  /** Java, operation by operation, on weights as they are stored; on the CPU alone. */
  PLAIN,
  /** One graph for the whole model. */
  FUSED,
  /** Kernels of our own, on weights as they are stored; on CUDA alone. */
  KERNELS;

  /** Those that compute on a device. */
  public static Set<Execution> of(Device device) {
    return device == Device.CUDA ? EnumSet.of(FUSED, KERNELS) : EnumSet.of(PLAIN, FUSED);
  }

  /**
   * What is best for a package on a device. On CUDA kernels decode faster, but take prompts a few
   * tokens at a time: they are for models that no graph computes, and for those who ask for them.
   */
  public static Execution best(MoxiePackage pack, Device device) {
    if (device == Device.CPU) {
      return PLAIN;
    }
    return FUSED.refusal(pack, device).isEmpty() ? FUSED : KERNELS;
  }

  /**
   * Makes sure that a device can be used.
   *
   * @throws EnvironmentException naming what is missing
   */
  public void require(Device device) {
    if (this == KERNELS && device == Device.CUDA) {
      CudaMachine.require();
    } else {
      device.require();
    }
  }

  /** Why a package cannot be run this way on a device; nothing if it can. */
  public Optional<UnsupportedException> refusal(MoxiePackage pack, Device device) {
    try {
      switch (this) {
        case PLAIN -> requireCpu(pack, device);
        case FUSED -> new Lowering(pack, device.target()).wholeModel();
        case KERNELS -> {
          requireCuda(pack, device);
          Decoder.requireKernels(pack);
        }
      }
      return Optional.empty();
    } catch (UnsupportedException e) {
      return Optional.of(e);
    }
  }

  /** Bytes of this machine's memory for weights beside the package, in another form. */
  public long memory(MoxiePackage pack, Device device) {
    if (device == Device.CUDA) {
      return 0;
    }
    return switch (this) {
      case PLAIN, KERNELS -> 0;
      case FUSED ->
          Tensors.ofForwardPass(pack.architecture()).stream()
              .mapToLong(tensor -> tensor.shape().elements() * Float.BYTES)
              .sum();
    };
  }

  /** Bytes of memory that this machine or container has. */
  public static long memoryOfMachine() {
    return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();
  }

  /**
   * Opens a package to be run this way.
   *
   * @param proof that the model computes the package's numbers
   * @throws UnsupportedException if it cannot be
   */
  public Model open(MoxiePackage pack, Device device, LoweringProof proof) {
    return switch (this) {
      case PLAIN -> {
        requireCpu(pack, device);
        yield PlainModel.open(pack, proof);
      }
      case FUSED -> FusedModel.open(pack, device, device.target(), proof);
      case KERNELS -> {
        requireCuda(pack, device);
        yield KernelModel.open(pack, proof);
      }
    };
  }

  /**
   * Opens the same model with its experts, and what belongs to each, in another order ({@link
   * ExpertOrder}): its logits are the same but for rounding.
   *
   * @param proof that the model computes the package's numbers
   * @throws UnsupportedException if the package cannot be run this way
   */
  public Model openPermuted(MoxiePackage pack, Device device, LoweringProof proof) {
    return switch (this) {
      case PLAIN -> {
        requireCpu(pack, device);
        yield PlainModel.openPermuted(pack, proof);
      }
      case FUSED -> FusedModel.openPermuted(pack, device, device.target(), proof);
      case KERNELS -> {
        requireCuda(pack, device);
        yield KernelModel.openPermuted(pack, proof);
      }
    };
  }

  private static void requireCpu(MoxiePackage pack, Device device) {
    if (device != Device.CPU) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "the CPU, on which the plain execution computes",
          "--device " + device.name().toLowerCase(Locale.ROOT),
          "use --device cpu or --execution fused");
    }
  }

  private static void requireCuda(MoxiePackage pack, Device device) {
    if (device != Device.CUDA) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "CUDA, for which the kernels are written",
          "--device " + device.name().toLowerCase(Locale.ROOT),
          "use --device cuda or another --execution");
    }
  }
}
