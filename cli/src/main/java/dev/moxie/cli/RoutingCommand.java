package dev.moxie.cli;

import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.verifier.LoweringCheck;
import dev.moxie.verifier.routing.Corpus;
import dev.moxie.verifier.routing.DecisionFiles;
import dev.moxie.verifier.routing.DecisionSink;
import dev.moxie.verifier.routing.RoutingReport;
import dev.moxie.verifier.routing.RoutingRun;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
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

  @Mixin private CorpusOptions texts = new CorpusOptions();

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      description =
          "Tokens of a sequence: longer texts are cut; default: 512, or the model's positions if"
              + " fewer.")
  private @Nullable Integer maxTokens;

  @Option(
      names = "--against",
      paramLabel = "PACKAGE2",
      description =
          "Also run this one on the same tokens, and say how many of its decisions the package"
              + " makes otherwise, by layer: what quantising changed, for one.")
  private @Nullable Path against;

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
    Corpus corpus = texts.corpus();
    var files = new DecisionFiles(arrow, replay);
    OutputFiles.requireDifferent(files.paths());
    Device.CPU.require();
    try (MoxiePackage pack = MoxiePackage.open(folder);
        @Nullable MoxiePackage second =
            against == null ? null : RoutingRun.openLike(pack, against, corpus);
        DecisionSink decisions = files.open(pack);
        var model = PlainModel.open(pack, new LoweringCheck());
        @Nullable PlainModel other =
            second == null ? null : PlainModel.open(second, new LoweringCheck())) {
      long positions = RoutingRun.positions(pack, other);
      int most =
          maxTokens == null ? (int) Math.min(RoutingRun.DEFAULT_TOKENS, positions) : maxTokens;
      return RoutingRun.run(pack, model, other, corpus, most, decisions);
    }
  }
}
