package dev.moxie.cli;

import dev.moxie.format.error.UsageException;
import dev.moxie.runtime.execution.Device;
import dev.moxie.verifier.eval.EvalReport;
import dev.moxie.verifier.eval.EvalRun;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie eval}. */
@Command(
    name = "eval",
    description = {
      "Says how well a package foresees a text: its perplexity; with --against, how far its"
          + " predictions are from another package's: KL divergence, top-1 agreement, routing"
          + " decisions that flip, the ratio of perplexities.",
      "A text is cut into tokens by the package's own tokenizer and read in windows of --context"
          + " tokens, each beginning as the tokenizer begins a text. Windows advance by --stride"
          + " tokens. Every token is scored once, in the first window that has it, from all that"
          + " stand before it there: from at least context - stride tokens, but in the text's first"
          + " window. A first token with nothing before it is not scored.",
      "Ends with 1 if a limit does not hold."
    },
    footer = {
      "",
      "Example: moxie eval P --text corpus.txt",
      "In CI:   moxie eval P-int4 --against P --text corpus.txt --tokens 20000 --max-kl 0.05"
    })
final class EvalCommand implements Callable<Integer> {
  @Parameters(paramLabel = "PACKAGE", description = "The package.")
  private Path folder = Path.of("");

  @Mixin private CorpusOptions corpus = new CorpusOptions();

  @Option(
      names = "--against",
      paramLabel = "PACKAGE2",
      description = "A package to compare with, as the one that was not quantised.")
  private @Nullable Path against;

  @Mixin private DeviceOption device = new DeviceOption();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      description = "Read no more tokens than this; default: all.")
  private @Nullable Long tokens;

  @Option(
      names = "--context",
      paramLabel = "N",
      description = "Tokens of a window; default: 512, or the model's positions if fewer.")
  private @Nullable Integer context;

  @Option(
      names = "--stride",
      paramLabel = "N",
      description =
          "Tokens by which windows advance; default: half of the context. As many as the context"
              + " has room for is fastest, 1 gives every token the most context.")
  private @Nullable Integer stride;

  @Option(
      names = "--max-kl",
      paramLabel = "X",
      description = "Fail where the mean KL divergence exceeds this, in nats.")
  private @Nullable Double maxKl;

  @Option(
      names = "--min-agreement",
      paramLabel = "X",
      description =
          "Fail where the likeliest token is the same for a smaller part of all, from 0 to 1.")
  private @Nullable Double minAgreement;

  @Option(names = "--quiet", description = "Print no progress.")
  private boolean quiet;

  @Option(names = "--json", description = "Print the report as one JSON object.")
  private boolean json;

  @Override
  public Integer call() {
    requireLimits();
    Device where = device.wanted();
    var options = new EvalRun.Options(context, stride, tokens, maxKl, minAgreement);
    EvalReport report;
    try (var progress = new TokenProgress(quiet)) {
      report = EvalRun.run(folder, against, where, null, corpus.corpus(), options, progress::begin);
    }
    System.out.println(json ? report.json() : report.text());
    return report.verdict() == null || report.verdict().passed() ? 0 : Failures.MISMATCH;
  }

  private void requireLimits() {
    if (against == null && (maxKl != null || minAgreement != null)) {
      throw new UsageException(
          "--max-kl and --min-agreement",
          "--against, a package to be held to",
          "none",
          "pass one, or leave them out");
    }
    if (maxKl != null && !(maxKl >= 0)) {
      throw new UsageException("--max-kl", "a number from 0", maxKl.toString(), "pass another");
    }
    if (minAgreement != null && !(minAgreement >= 0 && minAgreement <= 1)) {
      throw new UsageException(
          "--min-agreement", "a number from 0 to 1", minAgreement.toString(), "pass another");
    }
  }
}
