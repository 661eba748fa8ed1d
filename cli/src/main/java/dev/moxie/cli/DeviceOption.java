package dev.moxie.cli;

import dev.moxie.runtime.execution.Device;
import picocli.CommandLine.Option;

/** Where a package is measured or verified. */
final class DeviceOption {
  @Option(
      names = "--device",
      paramLabel = "auto|cpu|cuda",
      converter = DeviceChoice.Reader.class,
      description = "Where to run the package; default: cpu. auto takes CUDA if it loads.")
  private DeviceChoice choice = DeviceChoice.CPU;

  /** What is meant. */
  Device wanted() {
    return choice.device();
  }

  /** The same, which can be used. */
  Device device() {
    Device device = wanted();
    device.require();
    return device;
  }
}
