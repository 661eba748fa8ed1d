package dev.moxie.runtime;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import java.nio.file.Path;
import java.util.Set;

/** Packages of fixtures. */
public final class Packages {
  private Packages() {}

  public static MoxiePackage convert(Path checkpoint, Path target) {
    return convert(checkpoint, target, new Conversion(Set.of(), Conversion.Prediction.KEEP, null));
  }

  /** With experts of a few bits, and scales. */
  public static MoxiePackage quantise(Path checkpoint, Path target) {
    var int4 =
        new Manifest.Quantisation(
            "int4_block_32", Manifest.Matrices.EXPERTS, Quantiser.Method.NEAREST);
    return convert(
        checkpoint,
        target,
        new Conversion(Set.of(), Conversion.Prediction.KEEP, null, int4, Manifest.Layout.PLAIN));
  }

  private static MoxiePackage convert(Path checkpoint, Path target, Conversion conversion) {
    Executor.execute(
        Planner.plan(Checkpoint.open(checkpoint), conversion).contents(),
        target,
        new Manifest.Producer("test", "0"),
        2,
        false,
        Progress.NONE);
    return MoxiePackage.open(target);
  }
}
