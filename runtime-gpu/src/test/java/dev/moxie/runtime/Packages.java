package dev.moxie.runtime;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import java.nio.file.Path;
import java.util.Set;

/** Packages of fixtures. */
public final class Packages {
  private Packages() {}

  public static MoxiePackage convert(Path checkpoint, Path target) {
    Executor.execute(
        Planner.plan(
                Checkpoint.open(checkpoint),
                new Conversion(Set.of(), Conversion.Prediction.KEEP, null))
            .contents(),
        target,
        new Manifest.Producer("test", "0"),
        2,
        false,
        Progress.NONE);
    return MoxiePackage.open(target);
  }
}
