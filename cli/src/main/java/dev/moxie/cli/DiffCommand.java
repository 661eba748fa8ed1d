package dev.moxie.cli;

import dev.moxie.verifier.diff.Diff;
import dev.moxie.verifier.diff.DiffJson;
import dev.moxie.verifier.diff.DiffText;
import dev.moxie.verifier.diff.ModelDiff;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie diff}. */
@Command(
    name = "diff",
    description = {
      "Compares two models, each a package or a checkpoint: architecture, settings, files, and"
          + " tensors by bytes and by values, expert by expert, whatever their layout and dtype.",
      "Of two packages, tensors with equal digests count as equal, and their bytes are not read"
          + " without --bytes.",
      "Ends with 0 if both are the same model (equal bytes or equal values), with 1 if they differ,"
          + " with 3 if one cannot be read."
    },
    footer = {"", "Example: moxie diff mixtral.moxie Mixtral-8x7B-v0.1"})
final class DiffCommand implements Callable<Integer> {
  @Parameters(paramLabel = "A", description = "Package or checkpoint.")
  private Path a = Path.of("");

  @Parameters(paramLabel = "B", description = "Package or checkpoint.")
  private Path b = Path.of("");

  @Option(
      names = "--bytes",
      description = "Compare the bytes of two packages, even where their digests are equal.")
  private boolean bytes;

  @Option(names = "--all", description = "Print every line, not the first 20 of each kind.")
  private boolean all;

  @Option(names = "--json", description = "Print the comparison as one JSON object.")
  private boolean json;

  @Override
  public Integer call() {
    Diff diff;
    try (ModelDiff models = ModelDiff.open(a, b, !bytes);
        var progress = new ConsoleProgress(models.bytes(), false)) {
      diff = models.run(progress);
    }
    System.out.println(json ? DiffJson.of(diff) : DiffText.of(diff, all));
    return diff.sense().same() ? 0 : Failures.MISMATCH;
  }
}
