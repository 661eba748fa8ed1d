package dev.moxie.verifier;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.safetensors.Dtype;
import java.nio.file.Path;
import java.util.Set;
import java.util.function.UnaryOperator;

/** Packages of fixtures, right ones and well-formed wrong ones. */
public final class Packages {
  private Packages() {}

  /** Converts, changing nothing. */
  public static Path convert(Path checkpoint, Path target) {
    return convert(checkpoint, target, plan -> plan);
  }

  /** Converts with another element type, keeping layers for multi-token prediction. */
  static Path cast(Path checkpoint, Path target, Dtype dtype) {
    var cast = new Manifest.Cast(dtype, Manifest.Rounding.NEAREST_EVEN);
    return execute(
        checkpoint, target, new Conversion(Set.of(), Conversion.Prediction.KEEP, cast), p -> p);
  }

  /** Quantises every matrix. */
  public static Path quantise(
      Path checkpoint,
      Path target,
      String encoding,
      Quantiser.Method method,
      UnaryOperator<ConversionPlan> tamper) {
    return execute(
        checkpoint,
        target,
        new Conversion(
            Set.of(),
            Conversion.Prediction.KEEP,
            null,
            new Manifest.Quantisation(encoding, Manifest.Matrices.ALL, method),
            Manifest.Layout.PLAIN),
        tamper);
  }

  /** Converts with weights spread over files in a way of its own. */
  public static Path spread(Path checkpoint, Path target, Manifest.Layout layout) {
    return execute(
        checkpoint,
        target,
        new Conversion(Set.of(), Conversion.Prediction.KEEP, null, layout),
        p -> p);
  }

  /** Converts by a plan that was tampered with: the package is well-formed, its digests right. */
  static Path convert(Path checkpoint, Path target, UnaryOperator<ConversionPlan> tamper) {
    return execute(
        checkpoint, target, new Conversion(Set.of(), Conversion.Prediction.KEEP, null), tamper);
  }

  private static Path execute(
      Path checkpoint, Path target, Conversion conversion, UnaryOperator<ConversionPlan> tamper) {
    ConversionPlan plan = tamper.apply(Planner.plan(Checkpoint.open(checkpoint), conversion));
    Executor.execute(
        plan.contents(), target, new Manifest.Producer("test", "0"), 2, false, Progress.NONE);
    return target;
  }
}
