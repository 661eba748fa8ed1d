package dev.moxie.cli;

import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.text.Line;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.verifier.baseline.Baseline;
import dev.moxie.verifier.baseline.BaselineCheck;
import dev.moxie.verifier.baseline.BaselineFile;
import dev.moxie.verifier.baseline.BaselineRecorder;
import dev.moxie.verifier.baseline.BaselineText;
import dev.moxie.verifier.report.Figures;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie baseline}. */
@Command(
    name = "baseline",
    description = "Records a package's numbers in a small file, and holds packages to it.",
    subcommands = {BaselineCommand.RecordBaseline.class, BaselineCommand.CheckBaseline.class})
final class BaselineCommand {

  /** {@code moxie baseline record}. */
  @Command(
      name = "record",
      description = {
        "Runs a package on the CPU and writes a small JSON file, to be committed: routing, layers,"
            + " logits and greedy tokens in few numbers.",
        "Without --prompt and --ids: four sequences of eight tokens, spread over the vocabulary."
      },
      footer = {"", "Example: moxie baseline record P baseline.json --prompt \"Once upon a time\""})
  static final class RecordBaseline implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "PACKAGE", description = "The package.")
    private Path folder = Path.of("");

    @Parameters(index = "1", paramLabel = "FILE", description = "File to make.")
    private Path file = Path.of("");

    @Option(
        names = "--prompt",
        paramLabel = "TEXT",
        description = "A sequence, as text; repeatable.")
    private List<String> prompts = new ArrayList<>();

    @Option(
        names = {"--ids", "--prompt-ids"},
        paramLabel = "ID,…",
        converter = TokenIds.class,
        description = "A sequence, as tokens; repeatable. Needs no tokenizer.")
    private List<long[]> ids = new ArrayList<>();

    @Option(
        names = "--greedy",
        paramLabel = "N",
        description = "Tokens to continue each sequence by; default: ${DEFAULT-VALUE}.")
    private int greedy = 8;

    @Option(
        names = "--execution",
        paramLabel = "plain|fused",
        description = "How to run; default: plain, the one that shows layers and routing.")
    private Execution execution = Execution.PLAIN;

    @Option(names = "--force", description = "Replace the baseline that is there.")
    private boolean force;

    @Override
    public Integer call() {
      BaselineFile.requireWritable(file, force);
      try (MoxiePackage pack = MoxiePackage.open(folder)) {
        Baseline baseline =
            BaselineRecorder.record(pack, execution, sequences(pack), greedy, producer());
        BaselineFile.write(file, baseline);
        System.out.println(
            Line.of(file + ": " + Figures.of(baseline.sequences().size(), "sequence")));
      }
      return 0;
    }

    private List<long[]> sequences(MoxiePackage pack) {
      List<long[]> sequences = new ArrayList<>();
      if (!prompts.isEmpty()) {
        try (TextTokenizer tokenizer = TextTokenizer.of(pack)) {
          prompts.forEach(prompt -> sequences.add(tokenizer.encode(prompt)));
        }
      }
      sequences.addAll(ids);
      return sequences.isEmpty()
          ? BaselineRecorder.defaultSequences(pack.architecture())
          : sequences;
    }
  }

  /** {@code moxie baseline check}. */
  @Command(
      name = "check",
      description = {
        "Runs a package as a baseline says, and compares. Routing must be the same but where"
            + " rounding may decide, numbers within the bounds of rounding in float32.",
        "Ends with 1 if something drifted, with 3 if the file is no baseline of such a model."
      },
      footer = {"", "Example: moxie baseline check P baseline.json --json"})
  static final class CheckBaseline implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "PACKAGE", description = "The package.")
    private Path folder = Path.of("");

    @Parameters(index = "1", paramLabel = "FILE", description = "The baseline.")
    private Path file = Path.of("");

    @Option(
        names = "--execution",
        paramLabel = "plain|fused",
        description = "How to run; default: as it was recorded.")
    private @Nullable Execution execution;

    @Option(
        names = "--strict",
        description = "Every bit must be the same: for the same machine and the same build.")
    private boolean strict;

    @Option(
        names = "--update",
        description =
            "Put what is computed now in the place of what was recorded, having said what"
                + " differs; ends with 0.")
    private boolean update;

    @Option(names = "--json", description = "Print the report as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
      if (update && execution != null) {
        BaselineCheck.requireUpdatable(file, execution);
      }
      BaselineCheck.Result result =
          BaselineCheck.check(folder, file, execution, strict, producer());
      System.out.println(json ? result.report().json() : BaselineText.of(result.report()));
      if (update) {
        boolean written = BaselineCheck.update(file, result);
        System.err.println(
            Line.of(file + (written ? ": updated" : ": the same, nothing to update")));
      }
      return update || result.report().verdict().passed() ? 0 : Failures.MISMATCH;
    }
  }

  private static Manifest.Producer producer() {
    return new Manifest.Producer("moxie", Version.current());
  }
}
