package dev.moxie.cli;

import dev.moxie.converter.export.Exporter;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.text.Line;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie export}. */
@Command(
    name = "export",
    description = {
      "Writes the Hugging Face checkpoint of a package again: byte for byte the one that it was"
          + " converted from, if nothing was cast or dropped and no adapter merged.",
      "Each tensor is checked against its digest on the way."
    },
    footer = {"", "Example: moxie export mixtral.moxie Mixtral-8x7B-v0.1-again"})
final class ExportCommand implements Callable<Integer> {
  @Parameters(paramLabel = "PACKAGE", description = "The package.")
  private Path folder = Path.of("");

  @Parameters(paramLabel = "CHECKPOINT", description = "Folder to make.")
  private Path target = Path.of("");

  @Mixin private Threads threads = new Threads();

  @Option(names = "--quiet", description = "Print nothing but errors.")
  private boolean quiet;

  @Override
  public Integer call() {
    int writers = threads.count();
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      Exporter.Result result;
      try (var progress = new ConsoleProgress(Exporter.bytes(pack), quiet)) {
        result = Exporter.export(pack, target, writers, progress);
      }
      if (!quiet) {
        System.out.println(
            Line.of(
                "%s: %d weight files, %,d bytes; %s"
                    .formatted(
                        target,
                        result.weightFiles(),
                        result.bytes(),
                        result.asItWas()
                            ? result.missing().isEmpty()
                                ? "every file is byte for byte the source's"
                                : "every file here is byte for byte the source's"
                            : changes(pack.manifest().provenance()))));
        result
            .missing()
            .forEach(
                name ->
                    System.out.println(
                        Line.of(target + ": without " + name + ", which the package lacks")));
      }
    }
    return 0;
  }

  private static String changes(Manifest.Provenance provenance) {
    List<String> changes = new ArrayList<>();
    if (provenance.cast() != null) {
      changes.add("weights are " + provenance.cast().dtype());
    }
    if (provenance.prediction() == Manifest.PredictionLayers.DROPPED) {
      changes.add("layers for multi-token prediction are left out");
    }
    String said =
        changes.isEmpty() ? "" : String.join(", ", changes) + ", and index and config say so";
    Manifest.Adapter adapter = provenance.adapter();
    if (adapter == null) {
      return said;
    }
    int matrices = adapter.updates().stream().mapToInt(Manifest.Update::matrices).sum();
    String merged = "%d matrices have an adapter merged into them".formatted(matrices);
    return said.isEmpty() ? merged : said + "; " + merged;
  }
}
