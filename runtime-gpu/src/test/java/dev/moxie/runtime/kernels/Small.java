package dev.moxie.runtime.kernels;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.ConfigVariant;
import dev.moxie.converter.family.ReleaseTensors;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.SyntheticCheckpoint;
import dev.moxie.fixtures.SyntheticValues;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Models of released families, as small as can be. */
final class Small {
  private Small() {}

  /**
   * A checkpoint of random numbers.
   *
   * @param config of the release, without its ending
   * @param values that take the place of its own, KEY=VALUE with spaces between
   */
  static Path checkpoint(Path folder, String config, String values) {
    Map<String, String> changed =
        Stream.of(values.split(" "))
            .map(value -> value.split("="))
            .collect(Collectors.toMap(value -> value[0], value -> value[1]));
    byte[] json =
        ConfigVariant.of(Fixtures.root().resolve("configs/" + config + ".json"), changed, 1);
    Path checkpoint = folder.resolve("c");
    SyntheticCheckpoint.write(
        checkpoint,
        json,
        List.of(ReleaseTensors.of(Config.parse("config.json", json))),
        new SyntheticValues(1));
    return checkpoint;
  }
}
