package dev.moxie.cli;

import dev.moxie.converter.bench.ConvertBenchmark;
import dev.moxie.converter.bench.IndexBenchmark;
import dev.moxie.converter.bench.MachineLimits;
import dev.moxie.converter.bench.Timing;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Disk;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.bench.RunBenchmark;
import dev.moxie.verifier.bench.RunReport;
import dev.moxie.verifier.bench.VerifyBenchmark;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie bench}. */
@Command(
    name = "bench",
    description = "Measures, beside what it is compared with, in the same run.",
    subcommands = {
      BenchCommand.ConvertBench.class,
      BenchCommand.VerifyBench.class,
      BenchCommand.IndexBench.class,
      BenchCommand.RunBench.class
    })
final class BenchCommand {

  /** {@code moxie bench convert}. */
  @Command(
      name = "convert",
      description = {
        "Converts a checkpoint several times, in turn with copying it (cp -r) and digesting it"
            + " (sha256sum), and prints medians; then what processor, memory and disk can do at"
            + " most.",
        "Options after -- are passed to convert."
      },
      footer = {"", "Example: moxie bench convert Mixtral-8x7B-v0.1 /data/scratch -- --threads 4"})
  static final class ConvertBench implements Runnable {
    @Parameters(index = "0", paramLabel = "CHECKPOINT", description = "The checkpoint.")
    private Path checkpoint = Path.of("");

    @Parameters(index = "1", paramLabel = "FOLDER", description = "Folder to write in.")
    private Path folder = Path.of("");

    @Parameters(
        index = "2..*",
        arity = "0..*",
        paramLabel = "OPTION",
        description = "Of the conversion.")
    private List<String> options = new ArrayList<>();

    @Option(
        names = "--rounds",
        paramLabel = "N",
        description = "Times that each command runs; default: ${DEFAULT-VALUE}.")
    private int rounds = 5;

    @Option(
        names = "--cold",
        description = "Let the checkpoint's pages go each time, so that it is read from the disk.")
    private boolean cold;

    @Override
    public void run() {
      Path work = temporary(folder);
      try {
        System.out.println(
            ConvertBenchmark.table(
                ConvertBenchmark.run(checkpoint, work, self(), options, rounds, cold)));
        int threads = Runtime.getRuntime().availableProcessors();
        MachineLimits limits = MachineLimits.measure(work, threads);
        System.out.printf(
            "limits with %d threads: digests %.2f GB/s, copying in memory %.2f GB/s, writing to"
                + " the disk %.2f GB/s%n",
            threads, limits.digest(), limits.memory(), limits.disk());
      } finally {
        deleteEmpty(work);
      }
    }
  }

  /** {@code moxie bench verify}. */
  @Command(
      name = "verify",
      description = {
        "Verifies a package several times in a warm JVM, in turn with sha256sum of its files, as"
            + " many at a time as there are processors, and prints medians.",
        "With --source equivalence is timed, with --reference all of it together as well."
      },
      footer = {"", "Example: moxie bench verify P --source CHECKPOINT --reference TRACE"})
  static final class VerifyBench implements Runnable {
    @Parameters(paramLabel = "PACKAGE", description = "The package.")
    private Path pack = Path.of("");

    @Option(
        names = "--source",
        paramLabel = "CHECKPOINT",
        description = "The checkpoint that it was converted from.")
    private @Nullable Path source;

    @Option(names = "--reference", paramLabel = "TRACE", description = "A trace; repeatable.")
    private List<Path> references = new ArrayList<>();

    @Option(
        names = "--rounds",
        paramLabel = "N",
        description = "Times that each is measured; default: ${DEFAULT-VALUE}.")
    private int rounds = 5;

    @Override
    public void run() {
      List<Timing> timings = VerifyBenchmark.run(pack, source, references, rounds);
      System.out.println("                           median s   min to max s    GB/s read   ratio");
      for (Timing timing : timings) {
        System.out.printf(
            "%-25s %9.2f   %5.2f to %5.2f   %10.2f   %5.2f%n",
            timing.name(),
            timing.median(),
            timing.seconds().getFirst(),
            timing.seconds().getLast(),
            timing.rate(),
            timing.rate() / timings.getFirst().rate());
      }
    }
  }

  /** {@code moxie bench index}. */
  @Command(
      name = "index",
      description =
          "Times planning a checkpoint, and opening a package and finding a tensor in it, in a warm"
              + " JVM.",
      footer = {"", "Example: moxie bench index CHECKPOINT PACKAGE"})
  static final class IndexBench implements Runnable {
    @Parameters(index = "0", paramLabel = "CHECKPOINT", description = "The checkpoint.")
    private Path checkpoint = Path.of("");

    @Parameters(index = "1", paramLabel = "PACKAGE", description = "A package made of it.")
    private Path pack = Path.of("");

    @Override
    public void run() {
      IndexBenchmark.Row row = IndexBenchmark.measure(checkpoint, pack);
      System.out.printf(
          "%,d tensors: plan %.0f ms, open and find %.0f ms%n",
          row.tensors(), 1e3 * row.planSeconds(), 1e3 * row.openSeconds());
    }
  }

  /** {@code moxie bench run}. */
  @Command(
      name = "run",
      description = {
        "Measures a package: opening, a prompt, tokens after it one by one, memory; on the CPU also"
            + " tokens of several texts together, bytes of weights that a token takes, and how much"
            + " of the memory's bandwidth that is.",
        "All but opening is done once before it counts, for the compiler. Tokens are drawn at"
            + " random, the same in each run. The first run of a package is held to the oracle"
            + " while it is opened."
      },
      footer = {
        "",
        "Example: moxie bench run P --against \"node runtime-gpu/bench/llama.mjs P.gguf --reps 1\""
      })
  static final class RunBench implements Runnable {
    @Parameters(paramLabel = "PACKAGE", description = "The package.")
    private Path pack = Path.of("");

    @Option(
        names = "--prompt",
        paramLabel = "N",
        description = "Tokens of the prompt; default: ${DEFAULT-VALUE}.")
    private int prompt = 128;

    @Option(
        names = "--decode",
        paramLabel = "N",
        description = "Tokens after it; default: ${DEFAULT-VALUE}.")
    private int decode = 64;

    @Option(
        names = "--together",
        paramLabel = "N",
        description =
            "Texts that are decoded together, besides one alone; default: ${DEFAULT-VALUE}.")
    private int texts = 8;

    @Option(
        names = "--reps",
        paramLabel = "N",
        description = "Times that both are measured; default: ${DEFAULT-VALUE}.")
    private int reps = 3;

    @Option(
        names = "--against",
        paramLabel = "CMD",
        description =
            "After each repetition, run this command of the shell, which measures the same and"
                + " prints what runtime-gpu/bench/llama.mjs or bench run --json does, and compare.")
    private @Nullable String against;

    @Mixin private DeviceOption device = new DeviceOption();

    @Option(
        names = "--memory-budget",
        paramLabel = "SIZE",
        converter = ByteSize.class,
        description = RunCommand.MEMORY_BUDGET)
    private @Nullable Long budget;

    @Option(
        names = "--execution",
        paramLabel = "plain|fused|kernels",
        description = "How to run it; default: what is best on the device.")
    private @Nullable Execution execution;

    @Option(names = "--json", description = "Print the report as one JSON object.")
    private boolean json;

    @Override
    public void run() {
      requirePositive("--prompt", prompt);
      requirePositive("--decode", decode);
      requirePositive("--together", texts);
      requirePositive("--reps", reps);
      Device where = device.wanted();
      RunReport report =
          RunBenchmark.run(pack, where, execution, prompt, decode, texts, reps, budget, against);
      System.out.println(json ? report.json() : report.text());
    }

    private static void requirePositive(String option, int value) {
      if (value < 1) {
        throw new UsageException(option, "a number from 1", String.valueOf(value), "pass another");
      }
    }
  }

  /** The command line that this process was started with, up to the verb. */
  private static List<String> self() {
    List<String> command = new ArrayList<>();
    command.add(ProcessHandle.current().info().command().orElse("java"));
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    return command;
  }

  private static Path temporary(Path folder) {
    try {
      return Disk.createTemporaryFolder(folder, "moxie-bench");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void deleteEmpty(Path folder) {
    try {
      Disk.delete(folder);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
