package dev.moxie.cli;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.signature.ModelSignature;
import dev.moxie.format.text.Line;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.Verifier;
import dev.moxie.verifier.diagnosis.Budget;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.routing.DecisionFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie verify}. */
@Command(
    name = "verify",
    description = {
      "Checks a package: every byte against its digest; with --source, every tensor against the"
          + " checkpoint; with --reference, routing, layers, logits and greedy tokens against"
          + " another implementation's.",
      "With --device cuda, layers, routing, logits and greedy tokens are those of the graphs that"
          + " run there, bounds those of what both sides round, and models are held to the oracle"
          + " as whenever they are opened there.",
      "Ends with 1 if something differs, with 3 if the package cannot be read at all."
    },
    footer = {
      "",
      "Example: moxie verify P --source CHECKPOINT --reference trace.safetensors --json",
      "In CI:   moxie verify P --reference t.safetensors --annotations --html verify.html"
    })
final class VerifyCommand implements Callable<Integer> {
  @Parameters(paramLabel = "PACKAGE", description = "The package.")
  private Path folder = Path.of("");

  @Option(
      names = "--source",
      paramLabel = "CHECKPOINT",
      description = "The checkpoint that it was converted from.")
  private @Nullable Path source;

  @Option(
      names = "--adapter",
      paramLabel = "DIR",
      description = "The adapter that was merged into that checkpoint.")
  private @Nullable Path adapter;

  @Option(
      names = "--reference",
      paramLabel = "TRACE",
      description = "A trace recorded by another implementation; repeatable.")
  private List<Path> references = new ArrayList<>();

  @Option(
      names = "--noise",
      paramLabel = "TRACE",
      description =
          "A second trace of the same tokens, from another backend or in another precision: bounds"
              + " are scaled to what the two references differ by.")
  private @Nullable Path noise;

  @Option(
      names = "--layers",
      paramLabel = "LIST",
      converter = LayerRanges.class,
      description =
          "Hold only these layers to the references, as in 0,2-5: each on its recorded input, and"
              + " nothing from the tokens on. The embedding belongs to the first layer, the head to"
              + " the last.")
  private List<Scope.Range> layers = List.of();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      description = "Use the first N tokens of each reference.")
  private int tokens = Integer.MAX_VALUE;

  @Option(
      names = "--diagnosis",
      paramLabel = "SECONDS",
      description =
          "Time for finding out what a difference looks like, 120 if not given. The report says"
              + " what was not tried.")
  private int diagnosis = Math.toIntExact(Budget.USUAL.toSeconds());

  @Option(
      names = "--invariance",
      description =
          "Also permute experts together with their router rows, cut a sequence in several ways"
              + " and end it earlier: in each execution, logits must stay as they are. Needs no"
              + " reference.")
  private boolean invariance;

  @Mixin private DeviceOption device = new DeviceOption();

  @Option(
      names = "--execution",
      paramLabel = "plain|fused|kernels",
      description =
          "Run only this one end to end; default: both that the device has, plain and fused or"
              + " fused and kernels, where both run such a model.")
  private @Nullable Execution execution;

  @Option(
      names = "--routing-arrow",
      paramLabel = "FILE",
      description =
          "Also write every routing decision, its margin and verdict, and the reference's experts,"
              + " as an Arrow table.")
  private @Nullable Path routingArrow;

  @Option(
      names = "--replay",
      paramLabel = "FILE",
      description =
          "Also write the experts as the array [tokens, layers, k] that routing replay uses, in a"
              + " safetensors file.")
  private @Nullable Path replay;

  @Option(
      names = "--signature",
      paramLabel = "FILE",
      description =
          "Before anything else, hold every file to a signature that sign made, or another tool of"
              + " OpenSSF Model Signing 1.0. Alone, it serves for checkpoints, too.")
  private @Nullable Path signature;

  @Option(
      names = "--public-key",
      paramLabel = "PEM",
      description = "The public key of whoever should have signed.")
  private @Nullable Path publicKey;

  @Mixin private ReportOptions forms = new ReportOptions();

  @Override
  public Integer call() {
    if (noise != null && references.isEmpty()) {
      throw new UsageException(
          "--noise " + noise,
          "a --reference whose bounds it sets",
          "none",
          "pass the first reference with --reference");
    }
    if (adapter != null && source == null) {
      throw new UsageException(
          "--adapter " + adapter,
          "a --source that it was merged into",
          "none",
          "pass the checkpoint with --source");
    }
    if ((signature == null) != (publicKey == null)) {
      throw new UsageException(
          signature == null ? "--public-key" : "--signature",
          "--signature beside --public-key",
          "one of them",
          "pass both");
    }
    requireReferences("--layers", !layers.isEmpty());
    requireReferences("--tokens", tokens != Integer.MAX_VALUE);
    if (tokens < 1) {
      throw new UsageException("--tokens", "at least 1", String.valueOf(tokens), "leave it out");
    }
    if (diagnosis < 0) {
      throw new UsageException(
          "--diagnosis", "seconds from 0 on", String.valueOf(diagnosis), "leave it out");
    }
    var scope =
        new Scope(
            layers,
            tokens,
            Budget.of(Duration.ofSeconds(diagnosis)),
            new LayerProgress(System.err, System::nanoTime));
    Running running = running();
    Verifier.Source from = source == null ? null : new Verifier.Source(source, adapter);
    var files = new DecisionFiles(routingArrow, replay);
    ReportOptions.Outputs outputs = forms.open(files.paths());
    Report report;
    try {
      if (signature != null && publicKey != null) {
        requireSignature(signature, publicKey);
        if (!hasMore() && !Files.exists(folder.resolve(PackagePaths.MANIFEST))) {
          return 0;
        }
      }
      report = Verifier.verify(folder, from, references, noise, running, files, invariance, scope);
    } catch (RuntimeException e) {
      outputs.write(Failures.of(e).sentence());
      throw e;
    }
    outputs.write(report);
    return report.verdict().passed() ? 0 : Failures.MISMATCH;
  }

  private void requireSignature(Path signature, Path publicKey) {
    int files = ModelSignature.read(signature).requireOf(folder, publicKey);
    // Not among what the report says, which is of the package alone.
    System.err.println(
        Line.of("signature    pass  %s: %d files, by %s".formatted(folder, files, publicKey)));
  }

  /** Whether more is asked than who signed the files. */
  private boolean hasMore() {
    return source != null || !references.isEmpty() || invariance;
  }

  private Running running() {
    boolean onCuda = device.wanted() == Device.CUDA;
    if (onCuda && execution == Execution.PLAIN) {
      throw new UsageException(
          "--execution plain", "--device cpu, where it computes", "cuda", "leave one of them out");
    }
    // Layers alone are those of graphs, whatever runs the whole.
    Device usable = device.device();
    Set<Execution> executions = execution == null ? Execution.of(usable) : EnumSet.of(execution);
    executions.forEach(each -> each.require(usable));
    return Running.on(usable, executions);
  }

  private void requireReferences(String option, boolean given) {
    if (given && references.isEmpty()) {
      throw new UsageException(
          option, "a --reference of which it chooses a part", "none", "pass one");
    }
  }
}
