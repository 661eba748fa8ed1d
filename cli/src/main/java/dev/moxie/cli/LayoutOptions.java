package dev.moxie.cli;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.Manifest;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How a package's weights are spread over files, for every verb that writes packages. */
final class LayoutOptions {
  @Option(
      names = "--expert-parallel",
      paramLabel = "N",
      description =
          "Spread the experts of each layer over N ranks, each with files of its own; default: 1.")
  private int expertParallel = 1;

  @Option(
      names = "--max-shard-size",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      description =
          "Split weight files that hold more, as in 5GB or 4GiB; a single tensor or expert is never"
              + " split. Default: 4GiB for the backbone, no limit for the experts of a layer.")
  private @Nullable Long maxShardBytes;

  /**
   * The layout asked for.
   *
   * @throws UsageException if a number is below 1
   */
  Manifest.Layout layout() {
    if (expertParallel < 1) {
      throw new UsageException(
          "--expert-parallel", "a number from 1", String.valueOf(expertParallel), "pass another");
    }
    return new Manifest.Layout(expertParallel, maxShardBytes);
  }
}
