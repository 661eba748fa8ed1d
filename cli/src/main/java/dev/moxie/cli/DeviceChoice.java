package dev.moxie.cli;

import dev.moxie.runtime.execution.Device;
import java.util.Locale;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Devices as options name them; auto takes CUDA if it really loads. */
enum DeviceChoice {
  AUTO,
  CPU,
  CUDA;

  /** The device that is meant. */
  Device device() {
    return switch (this) {
      case AUTO -> Device.best();
      case CPU -> Device.CPU;
      case CUDA -> Device.CUDA;
    };
  }

  /** Reads one; several, or one by its number, are refused with the way to choose. */
  static final class Reader implements ITypeConverter<DeviceChoice> {
    private static final Pattern NUMBERED_OR_SEVERAL = Pattern.compile(".*[0-9,:;+].*");

    @Override
    public DeviceChoice convert(String text) {
      for (DeviceChoice choice : values()) {
        if (choice.name().equals(text.toUpperCase(Locale.ROOT))) {
          return choice;
        }
      }
      String expected = "expected auto, cpu or cuda, found \"" + text + "\"";
      throw new TypeConversionException(
          NUMBERED_OR_SEVERAL.matcher(text).matches()
              ? expected
                  + "; one GPU is used, the first that is visible: choose it with"
                  + " CUDA_VISIBLE_DEVICES, as in CUDA_VISIBLE_DEVICES=1"
              : expected);
    }
  }
}
