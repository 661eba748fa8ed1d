package dev.moxie.cli;

import dev.moxie.converter.adapter.LoraAdapter;
import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.checkpoint.TokenizerForm;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.DiskSpace;
import dev.moxie.converter.plan.PlanReport;
import dev.moxie.converter.plan.Planner;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.text.Line;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie convert}. */
@Command(
    name = "convert",
    description =
        "Turns a Hugging Face checkpoint into a package, without loss unless --dtype, --quantize or"
            + " --adapter asks for other weights. The package appears under its name only when"
            + " it is complete; an interrupted conversion goes on where it stopped when the same"
            + " command is run again.",
    footer = {"", "Example: moxie convert Mixtral-8x7B-v0.1 mixtral.moxie --threads 4"})
final class ConvertCommand implements Callable<Integer> {
  @Parameters(paramLabel = "CHECKPOINT", description = "Folder with config.json and safetensors.")
  private Path checkpoint = Path.of("");

  @Parameters(paramLabel = "PACKAGE", description = "Folder to make.")
  private Path target = Path.of("");

  @Option(
      names = "--dry-run",
      description =
          "Print the plan and an estimate, and keep nothing: some bytes are written beside the"
              + " target for half a second to measure how fast that is.")
  private boolean dryRun;

  @Option(names = "--json", description = "Print the plan as JSON (with --dry-run).")
  private boolean json;

  @Mixin private PackageJob job = new PackageJob();
  @Mixin private LayoutOptions layout = new LayoutOptions();

  @Option(
      names = "--ignore-config-key",
      paramLabel = "KEY",
      description =
          "A key of config.json that does not change the forward pass, inside an object as"
              + " OBJECT.KEY; it counts as absent, and the package records it.")
  private Set<String> ignoredKeys = new HashSet<>();

  @Option(
      names = TokenizerForm.OPTION,
      description =
          "Convert even if the tokenizer is in a form that is not read here: what runs the package"
              + " takes token ids (run --prompt-ids).")
  private boolean tokenIdsOnly;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description =
          "Merge the adapter (LoRA, as peft saves it) in this folder into the weights, each sum"
              + " rounded once. What is stored in fp8 or int4 takes none without --dtype.")
  private @Nullable Path adapter;

  @Option(
      names = "--mtp",
      paramLabel = "keep|drop",
      description =
          "What to do with layers for multi-token prediction; must be said if there are any.")
  private Conversion.@Nullable Prediction prediction;

  @Option(
      names = "--dtype",
      paramLabel = "bf16|f32",
      description =
          "Give the weights this type, dequantising fp8 blocks, rounding to nearest even; routers"
              + " and their biases keep theirs. Default: no change, no loss.")
  private @Nullable CastChoice dtype;

  @Mixin private QuantiseOptions quantise = new QuantiseOptions();

  /** Element types as the option names them. */
  enum CastChoice {
    BF16(Dtype.BF16),
    F32(Dtype.F32);

    private final Dtype dtype;

    CastChoice(Dtype dtype) {
      this.dtype = dtype;
    }

    Manifest.Cast cast() {
      return new Manifest.Cast(dtype, Manifest.Rounding.NEAREST_EVEN);
    }
  }

  @Override
  public Integer call() {
    job.threads();
    if (json && !dryRun) {
      throw new UsageException(
          "--json", "--dry-run with it", "none", "a conversion prints no JSON, a plan does");
    }
    Checkpoint source = Checkpoint.open(checkpoint);
    if (!tokenIdsOnly) {
      TokenizerForm.require(source);
    }
    ConversionPlan plan =
        Planner.plan(
            source,
            new Conversion(
                ignoredKeys,
                prediction,
                dtype == null ? null : dtype.cast(),
                quantise.quantisation(),
                layout.layout()),
            adapter == null ? null : LoraAdapter.open(adapter));
    if (!job.isQuiet()) {
      plan.checkpoint()
          .endTokens(plan.architecture().vocabSize())
          .warning()
          .ifPresent(warning -> System.err.println(Line.of(checkpoint + ": " + warning + ".")));
    }
    if (prediction != null
        && plan.prediction() == Manifest.PredictionLayers.NONE
        && !job.isQuiet()) {
      System.err.println(
          Line.of(
              checkpoint
                  + ": config.json declares no multi-token prediction; --mtp has no effect."));
    }
    if (plan.prediction() == Manifest.PredictionLayers.ABSENT && !job.isQuiet()) {
      System.err.println(
          Line.of(
              checkpoint
                  + ": config.json declares layers for multi-token prediction, the files hold none"
                  + " (transformers drops them when it saves); going on without."));
    }
    if (!job.isQuiet()) {
      Config config = plan.checkpoint().config(Set.of());
      ignoredKeys.stream()
          .filter(key -> !config.occurs(key))
          .sorted()
          .forEach(
              key ->
                  System.err.println(
                      Line.of(checkpoint + ": config.json has no key " + key + " to be ignored.")));
    }
    if (!dryRun && !job.isQuiet()) {
      plan.checkpoint()
          .notes()
          .forEach(note -> System.err.println(Line.of(checkpoint + ": " + note + ".")));
      plan.checkpoint()
          .left()
          .forEach(left -> System.err.println(Line.of(checkpoint + ": left behind " + left + ".")));
    }
    if (dryRun) {
      var estimate = PlanReport.Estimate.measure(plan.contents(), target, job.threads());
      System.out.println(json ? PlanReport.json(plan, estimate) : PlanReport.text(plan, estimate));
      DiskSpace.require(target, estimate.diskNeeded());
      return 0;
    }
    job.write(plan.contents(), target);
    if (!job.isQuiet()) {
      System.out.println(
          Line.of(
              "%s: %d tensors of %s in %d weight files, %,d bytes%s"
                  .formatted(
                      target,
                      plan.sourceTensors(),
                      plan.family().name(),
                      plan.shards().size(),
                      plan.bytes(),
                      plan.prediction() == Manifest.PredictionLayers.DROPPED
                          ? "; %d tensors left out"
                              .formatted(plan.checkpoint().tensorCount() - plan.sourceTensors())
                          : "")));
    }
    return 0;
  }
}
