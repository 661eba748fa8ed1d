package dev.moxie.cli;

import dev.moxie.converter.inspect.Inspection;
import dev.moxie.runtime.lowering.GraphFile;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie inspect}. */
@Command(
    name = "inspect",
    description =
        "Shows architecture, routing equation, parameters, bytes per token and memory of a"
            + " checkpoint, a package, or a bare config.json. Reads no weights.")
final class InspectCommand implements Callable<Integer> {
  @Parameters(paramLabel = "MODEL", description = "Checkpoint, package or config.json.")
  private Path path = Path.of("");

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Option(
      names = "--onnx",
      paramLabel = "FILE",
      description =
          "Also write the whole-model graph of a package (CPU form), whose weights stay in the"
              + " package, for other tools to load or draw.")
  private @Nullable Path onnx;

  @Option(
      names = "--ignore-config-key",
      paramLabel = "KEY",
      description =
          "A key of config.json that does not change the forward pass, inside an object as"
              + " OBJECT.KEY.")
  private Set<String> ignoredKeys = new HashSet<>();

  @Option(
      names = "--fits",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      description =
          "Also say which forms that convert writes would fit into so much memory, as 24GB, what"
              + " each takes, and how many tokens of context fit beside it.")
  private @Nullable Long room;

  @Override
  public Integer call() {
    Inspection inspection = Inspection.of(path, ignoredKeys);
    if (room != null) {
      inspection = inspection.fitting(room);
    }
    if (onnx != null) {
      GraphFile.write(path, onnx);
    }
    System.out.println(json ? inspection.json() : inspection.text());
    return 0;
  }
}
