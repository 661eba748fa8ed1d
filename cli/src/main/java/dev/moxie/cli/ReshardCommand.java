package dev.moxie.cli;

import dev.moxie.converter.plan.PackageContents;
import dev.moxie.converter.plan.Resharding;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.text.Line;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code moxie reshard}. */
@Command(
    name = "reshard",
    description = {
      "Writes a package again with its weights spread over files in another way: the package that a"
          + " conversion with the same --expert-parallel and --max-shard-size makes, without its"
          + " source.",
      "Each tensor is checked against its digest on the way; an interrupted run goes on when the"
          + " same command is run again."
    },
    footer = {"", "Example: moxie reshard mixtral.moxie mixtral-8.moxie --expert-parallel 8"})
final class ReshardCommand implements Callable<Integer> {
  @Parameters(index = "0", paramLabel = "PACKAGE", description = "The package.")
  private Path folder = Path.of("");

  @Parameters(index = "1", paramLabel = "PACKAGE2", description = "Folder to make.")
  private Path target = Path.of("");

  @Mixin private PackageJob job = new PackageJob();
  @Mixin private LayoutOptions layout = new LayoutOptions();

  @Override
  public Integer call() {
    job.threads();
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      PackageContents contents = Resharding.plan(pack, layout.layout());
      job.write(contents, target);
      if (!job.isQuiet()) {
        System.out.println(
            Line.of(
                "%s: %d weight files, %,d bytes"
                    .formatted(target, contents.shards().size(), contents.bytes())));
      }
    }
    return 0;
  }
}
