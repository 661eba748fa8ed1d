package dev.moxie.runtime.execution;

import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.lowering.Target;

/** How a model is run. */
public enum Execution {
  /** Small graphs per layer and expert, Java routes between them. */
  SCHEDULED,
  /** One graph for the whole model. */
  FUSED;

  /** What is best on a device. */
  public static Execution best(Device device) {
    return device == Device.CUDA ? FUSED : SCHEDULED;
  }

  /** Opens a package to be run this way. */
  public Model open(MoxiePackage pack, Device device) {
    return open(pack, device, device.target());
  }

  /** Opens a package as graphs built for a target, whichever device they run on. */
  public Model open(MoxiePackage pack, Device device, Target target) {
    return switch (this) {
      case SCHEDULED -> new ScheduledModel(pack, device, target);
      case FUSED -> new FusedModel(pack, device, target);
    };
  }
}
