package dev.moxie.runtime.execution;

import com.sun.management.OperatingSystemMXBean;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Lowering;
import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.Optional;

/** How a model is run. */
public enum Execution {
  /** Java, operation by operation, on weights as they are stored; on the CPU alone. */
  PLAIN,
  /** One graph for the whole model. */
  FUSED;

  /** What is best on a device. */
  public static Execution best(Device device) {
    return device == Device.CUDA ? FUSED : PLAIN;
  }

  /** Why a package cannot be run this way on a device; nothing if it can. */
  public Optional<UnsupportedException> refusal(MoxiePackage pack, Device device) {
    try {
      switch (this) {
        case PLAIN -> requireCpu(pack, device);
        case FUSED -> new Lowering(pack, device.target()).wholeModel();
      }
      return Optional.empty();
    } catch (UnsupportedException e) {
      return Optional.of(e);
    }
  }

  /** Bytes of weights that are held beside the package, in another form. */
  public long memory(MoxiePackage pack) {
    return switch (this) {
      case PLAIN -> 0;
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
}
