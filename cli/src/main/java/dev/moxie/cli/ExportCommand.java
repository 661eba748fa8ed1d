package dev.moxie.cli;

import dev.moxie.converter.export.Exporter;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie export}. */
@Command(
    name = "export",
    description = {
      "Writes the Hugging Face checkpoint of a package again: byte for byte the one that it was"
          + " converted from, if nothing was cast or dropped.",
      "Each tensor is checked against its digest on the way."
    },
    footer = {"", "Example: moxie export mixtral.moxie Mixtral-8x7B-v0.1-again"})
final class ExportCommand implements Callable<Integer> {
  @Parameters(paramLabel = "PACKAGE", description = "The package.")
  private Path folder = Path.of("");

  @Parameters(paramLabel = "CHECKPOINT", description = "Folder to make.")
  private Path target = Path.of("");

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Weight files written at a time; default: processors.")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(names = "--quiet", description = "Print nothing but errors.")
  private boolean quiet;

  @Override
  public Integer call() {
    if (threads < 1) {
      throw new UsageException(
          "--threads", "a number from 1", String.valueOf(threads), "pass another");
    }
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      Exporter.Result result;
      try (var progress = new ConsoleProgress(Exporter.bytes(pack), quiet)) {
        result = Exporter.export(pack, target, threads, progress);
      }
      if (!quiet) {
        System.out.printf(
            "%s: %d weight files, %,d bytes; %s%n",
            target,
            result.weightFiles(),
            result.bytes(),
            result.asItWas()
                ? "every file is byte for byte the source's"
                : "weights, index or config differ from the source's as the conversion did");
      }
    }
    return 0;
  }
}
