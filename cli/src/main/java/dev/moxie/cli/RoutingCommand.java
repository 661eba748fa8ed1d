package dev.moxie.cli;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.LoweringCheck;
import dev.moxie.verifier.routing.Corpus;
import dev.moxie.verifier.routing.DecisionFiles;
import dev.moxie.verifier.routing.DecisionSink;
import dev.moxie.verifier.routing.RoutingReport;
import dev.moxie.verifier.routing.RoutingRun;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie routing}. */
@Command(
    name = "routing",
    description = {
      "Runs a package on texts and shows how each layer spreads tokens over its experts: use,"
          + " imbalance, entropy, dead experts, collapse, load-balancing loss, margins.",
      "Takes no reference, hence gives no verdict: verify --reference does."
    },
    footer = {"", "Example: moxie routing P --text corpus.txt --arrow routing.arrow"})
final class RoutingCommand implements Callable<Integer> {
  @Parameters(paramLabel = "PACKAGE", description = "The package.")
  private Path folder = Path.of("");

  @Option(
      names = "--text",
      paramLabel = "FILE",
      description = "A text in UTF-8, of any size; repeatable.")
  private List<Path> texts = new ArrayList<>();

  @Option(names = "--prompt", paramLabel = "TEXT", description = "A text; repeatable.")
  private List<String> prompts = new ArrayList<>();

  @Option(
      names = "--ids",
      paramLabel = "ID,…",
      converter = TokenIds.class,
      description = "Tokens, where there is no tokenizer; repeatable.")
  private List<long[]> ids = new ArrayList<>();

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      description =
          "Tokens of a sequence: longer texts are cut; default: 512, or the model's positions if"
              + " fewer.")
  private @Nullable Integer maxTokens;

  @Option(
      names = "--arrow",
      paramLabel = "FILE",
      description = "Also write every decision and its margin as an Arrow table.")
  private @Nullable Path arrow;

  @Option(
      names = "--replay",
      paramLabel = "FILE",
      description =
          "Also write the experts as the array [tokens, layers, k] that routing replay uses, in a"
              + " safetensors file.")
  private @Nullable Path replay;

  @Option(names = "--json", description = "Print the report as one JSON object.")
  private boolean json;

  @Override
  public Integer call() {
    RoutingReport report = run();
    System.out.println(json ? report.json() : report.text());
    return 0;
  }

  private RoutingReport run() {
    if (texts.isEmpty() && prompts.isEmpty() && ids.isEmpty()) {
      throw new UsageException(
          "moxie routing", "--text, --prompt or --ids", "none of them", "say what to run on");
    }
    var corpus = new Corpus(texts, prompts, ids);
    var files = new DecisionFiles(arrow, replay);
    OutputFiles.requireDifferent(files.paths());
    Device.CPU.require();
    try (MoxiePackage pack = MoxiePackage.open(folder);
        DecisionSink decisions = files.open(pack);
        var model = new PlainModel(pack)) {
      LoweringCheck.require(pack, Device.CPU, Execution.PLAIN, model);
      long positions = pack.architecture().maxPositions();
      int most =
          maxTokens == null ? (int) Math.min(RoutingRun.DEFAULT_TOKENS, positions) : maxTokens;
      return RoutingRun.run(pack, model, corpus, most, decisions);
    }
  }
}
