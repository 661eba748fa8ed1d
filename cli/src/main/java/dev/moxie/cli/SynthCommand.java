package dev.moxie.cli;

import dev.moxie.fixtures.SyntheticMixtral;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie synth}: checkpoints of any size, for measuring. */
@Command(
    name = "synth",
    hidden = true,
    description = "Writes a Mixtral-shaped checkpoint of deterministic values.")
final class SynthCommand implements Callable<Integer> {
  @Parameters(paramLabel = "FOLDER", description = "Folder to make.")
  private Path folder = Path.of("");

  @Option(
      names = "--mebibytes",
      paramLabel = "N",
      description = "About how large; default: ${DEFAULT-VALUE}.")
  private long mebibytes = 512;

  @Override
  public Integer call() {
    if (mebibytes < 1 || Files.exists(folder)) {
      throw new UsageException(
          folder.toString(),
          "a new folder and a size from 1 MiB",
          Files.exists(folder) ? "an existing one" : mebibytes + " MiB",
          "pass others");
    }
    try {
      SyntheticMixtral.ofMebibytes(mebibytes).write(folder, 1);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return 0;
  }
}
