package dev.moxie.cli;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.ConfigVariant;
import dev.moxie.converter.family.ReleaseTensors;
import dev.moxie.converter.plan.DiskSpace;
import dev.moxie.fixtures.MixtralConfig;
import dev.moxie.fixtures.Sharding;
import dev.moxie.fixtures.SyntheticCheckpoint;
import dev.moxie.fixtures.SyntheticValues;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.safetensors.TensorDeclaration;
import dev.moxie.format.text.Line;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie synth}: checkpoints of any family and size, for measuring. */
@Command(
    name = "synth",
    hidden = true,
    description =
        "Writes a checkpoint with the names, dtypes, shapes and files of a release and with"
            + " deterministic values, or none.",
    footer = {
      "",
      "Example: moxie synth v3 --config fixtures/configs/deepseek-v3.json --shards 163 --sparse"
    })
final class SynthCommand implements Callable<Integer> {
  @Parameters(paramLabel = "FOLDER", description = "Folder to make.")
  private Path folder = Path.of("");

  @Option(
      names = "--config",
      paramLabel = "CONFIG.json",
      description = "Of the release; default: a small Mixtral.")
  private @Nullable Path config;

  @Option(
      names = "--scale",
      paramLabel = "F",
      description =
          "Multiply the parameters of --config by about F: widths, vocabulary and heads by its"
              + " square root.")
  private double scale = 1;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description =
          "A number, true, false, or null for none, in place of what --config says; repeatable.")
  private Map<String, String> values = new LinkedHashMap<>();

  @Option(
      names = "--mebibytes",
      paramLabel = "N",
      description = "Without --config: about how large; default: 512.")
  private @Nullable Long mebibytes;

  @ArgGroup private Split split = new Split();

  @Option(names = "--sparse", description = "Headers only: the data are holes in the files.")
  private boolean sparse;

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "Of the values; default: ${DEFAULT-VALUE}.")
  private long seed = 1;

  /** How tensors are dealt out to files. */
  static final class Split {
    @Option(names = "--shards", paramLabel = "N", description = "Weight files of about equal size.")
    private @Nullable Integer count;

    @Option(
        names = "--max-shard-size",
        paramLabel = "SIZE",
        converter = ByteSize.class,
        description = "Weight files of at most that size; default: 5GB.")
    private long size = 5_000_000_000L;

    List<List<TensorDeclaration>> of(List<TensorDeclaration> tensors) {
      return count == null ? Sharding.ofAtMost(size, tensors) : Sharding.into(count, tensors);
    }
  }

  @Override
  public Integer call() {
    byte[] json = config();
    var tensors = ReleaseTensors.of(Config.parse(folder.resolve("config.json").toString(), json));
    long bytes = Sharding.bytes(tensors);
    var files = split.of(tensors);
    if (!sparse) {
      DiskSpace.require(folder, bytes);
    }
    SyntheticCheckpoint.write(folder, json, files, sparse ? null : new SyntheticValues(seed));
    System.out.println(
        Line.of(
            "%s: %,d tensors in %d weight files, %,d bytes%s"
                .formatted(
                    folder, tensors.size(), files.size(), bytes, sparse ? " of holes" : "")));
    return 0;
  }

  private byte[] config() {
    if (config != null && mebibytes == null) {
      return ConfigVariant.of(config, values, scale);
    }
    if (config != null || scale != 1 || !values.isEmpty()) {
      throw new UsageException(
          "--mebibytes, --scale and --set",
          "a size, or --config with what is to be changed in it",
          config == null ? "a change and no --config" : "both",
          "pass one of them");
    }
    return MixtralConfig.ofMebibytes(mebibytes == null ? 512 : mebibytes).json();
  }
}
