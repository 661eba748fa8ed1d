package dev.moxie.converter;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.ReleaseTensors;
import dev.moxie.fixtures.MixtralConfig;
import dev.moxie.fixtures.Sharding;
import dev.moxie.fixtures.SyntheticCheckpoint;
import dev.moxie.fixtures.SyntheticValues;
import java.nio.file.Path;

/** Mixtral checkpoints of any shape. */
public final class SyntheticMixtral {
  private SyntheticMixtral() {}

  /** Writes one, in three weight files. */
  public static void write(Path folder, MixtralConfig config) {
    var tensors = ReleaseTensors.of(Config.parse("config.json", config.json()));
    SyntheticCheckpoint.write(
        folder, config.json(), Sharding.into(3, tensors), new SyntheticValues(1));
  }
}
