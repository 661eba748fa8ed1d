package dev.moxie.cli;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.text.Line;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.execution.SpeculativeModel;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.runtime.generation.Sampler;
import dev.moxie.runtime.generation.TextStream;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.lowering.CacheLayout;
import dev.moxie.runtime.plain.ExpertMemory;
import dev.moxie.verifier.Continuing;
import dev.moxie.verifier.LoweringCheck;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie run}. */
@Command(
    name = "run",
    description = "Continues a prompt, or talks.",
    footer = {"", "Example: moxie run P --prompt \"Once upon a time\" --temperature 0.8 --seed 7"})
final class RunCommand implements Callable<Integer> {
  static final String MEMORY_BUDGET =
      "Keep at most so much of the weights in memory, as in 8GB: what every token passes is never"
          + " let go, of experts stay those that tokens choose most often. A prompt that goes"
          + " through all experts of a layer has them all in memory at that moment, and the check"
          + " of a first opening has no budget. Plain execution, on Linux, for a package whose"
          + " files you own or may write, on a disk.";

  static final String SPECULATE =
      "Have the layer for multi-token prediction guess the token after the next one, so that both"
          + " are computed together; the text is the same.";

  @Parameters(paramLabel = "PACKAGE", description = "The package.")
  private Path folder = Path.of("");

  @ArgGroup private Prompt prompt = new Prompt();

  /** What to continue: a text, or tokens where there is no tokenizer. */
  static final class Prompt {
    @Option(
        names = "--prompt",
        paramLabel = "TEXT",
        description = "What to continue; with --chat the one message.")
    private @Nullable String text;

    @Option(
        names = "--prompt-ids",
        paramLabel = "ID,…",
        converter = TokenIds.class,
        description = "Tokens to continue; tokens are printed. Needs no tokenizer.")
    private @Nullable List<long[]> ids;
  }

  @Option(
      names = "--chat",
      description =
          "Answer each line of standard input as a message, by the model's chat template, as serve"
              + " does; with --prompt that one alone. Plain execution; an interrupt ends it.")
  private boolean chat;

  @Option(
      names = "--system",
      paramLabel = "TEXT",
      description = "With --chat: the system's message, before all others.")
  private @Nullable String system;

  @Option(
      names = "--chat-template",
      paramLabel = "FILE",
      description =
          "With --chat: makes prompts of messages; default: the one that the package brings.")
  private @Nullable Path template;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      description = "New tokens at most; default: ${DEFAULT-VALUE}.")
  private int maxTokens = 100;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      description = "0 takes the likeliest token, the default; 1 draws from the model's own odds.")
  private double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      description = "Draw from the K likeliest tokens; 0, the default, from all.")
  private @Nullable Integer topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      description = "Draw from the fewest tokens whose probabilities reach P.")
  private @Nullable Double topP;

  @Option(names = "--seed", paramLabel = "S", description = "The same seed draws the same text.")
  private @Nullable Long seed;

  @Option(
      names = "--device",
      paramLabel = "auto|cpu|cuda",
      converter = DeviceChoice.Reader.class,
      description = "Where to run; auto takes CUDA if it loads, else the CPU, and says which.")
  private DeviceChoice deviceChoice = DeviceChoice.AUTO;

  @Option(
      names = "--execution",
      paramLabel = "plain|fused|kernels",
      description =
          "How to run; default: plain on the CPU, on CUDA fused, or kernels where it has no graph.")
  private @Nullable Execution execution;

  @Option(
      names = "--memory-budget",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      description = MEMORY_BUDGET)
  private @Nullable Long memoryBudget;

  @Option(names = "--speculate", description = SPECULATE + " Plain execution.")
  private boolean speculate;

  @Override
  public Integer call() {
    Sampler sampler = sampler();
    requireFit();
    if (chat) {
      Chat.run(folder, template, system, prompt.text, sampler, maxTokens, memoryBudget);
      return 0;
    }
    Device device = deviceChoice.device();
    var pace = new Pace();
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      Continuing.requireTokens(pack);
      if (prompt.text != null) {
        requireContinuing(pack);
        try (TextTokenizer tokenizer = TextTokenizer.of(pack)) {
          long[] ids = tokenizer.encode(prompt.text);
          var stream = new TextStream(tokenizer, ids, System.out::print);
          generate(pack, way(pack, device), ids, sampler, prompt.text, pace, stream::accept);
          stream.finish();
        }
      } else {
        long[] ids =
            Objects.requireNonNull(prompt.ids).stream().flatMapToLong(Arrays::stream).toArray();
        generate(pack, way(pack, device), ids, sampler, "", pace, id -> System.out.print(id + " "));
      }
      System.out.println();
      System.err.println(pace);
    }
    return 0;
  }

  /** Where and how a package is run. */
  private record Way(Device device, Execution execution) {}

  /** Where CUDA was not asked for and does not run such a model, it is the CPU's. */
  private Way way(MoxiePackage pack, Device device) {
    Execution wanted = execution(pack, device);
    if (deviceChoice == DeviceChoice.AUTO && device != Device.CPU) {
      Optional<UnsupportedException> refusal = wanted.refusal(pack, device);
      if (refusal.isPresent()) {
        System.err.println(Line.of("not on CUDA: " + refusal.get().getMessage()));
        return new Way(Device.CPU, execution(pack, Device.CPU));
      }
    }
    return new Way(device, wanted);
  }

  private Execution execution(MoxiePackage pack, Device device) {
    return execution == null ? Execution.best(pack, device) : execution;
  }

  private void generate(
      MoxiePackage pack,
      Way way,
      long[] ids,
      Sampler sampler,
      String echo,
      Pace pace,
      LongConsumer onToken) {
    requireFit(pack, ids);
    Device device = way.device();
    Execution chosen = way.execution();
    requireFit(chosen);
    if (speculate) {
      SpeculativeModel.prediction(pack);
    }
    chosen.require(device);
    System.err.printf(
        "device %s, execution %s%s%n", device.description(), chosen, cache(pack, device, chosen));
    LoweringCheck check = FirstOpening.check();
    try (Model opened = chosen.open(pack, device, check)) {
      check
          .took()
          .ifPresent(
              time -> System.err.printf("held to the oracle in %.1f s%n", time.toMillis() / 1e3));
      check.untried().forEach(System.err::println);
      ExpertMemory experts =
          memoryBudget != null && opened instanceof PlainModel plain
              ? plain.limitMemory(memoryBudget)
              : null;
      SpeculativeModel speculative =
          speculate && opened instanceof PlainModel plain ? plain.speculative() : null;
      Model model = speculative == null ? opened : speculative;
      Set<Long> end = EndTokens.of(pack).ids();
      System.out.print(echo);
      pace.opened(experts);
      long[] begun = begun(pack, model, ids);
      Generator.generate(
          model, begun, maxTokens, sampler, end, ((LongConsumer) pace::token).andThen(onToken));
      if (speculative != null) {
        pace.speculated(speculative.right(), speculative.guesses());
      }
    }
  }

  private void requireFit() {
    if (!chat && (system != null || template != null)) {
      throw new UsageException(
          system == null ? "--chat-template" : "--system",
          "--chat with it",
          "none",
          "pass --chat, or leave it out");
    }
    if (!chat && prompt.text == null && prompt.ids == null) {
      throw new UsageException(
          "run", "--prompt, --prompt-ids or --chat", "none of them", "pass one");
    }
    if (chat && prompt.ids != null) {
      throw new UsageException(
          "--chat", "messages of text", "--prompt-ids", "pass --prompt, or lines to read");
    }
    if (chat
        && (speculate
            || deviceChoice == DeviceChoice.CUDA
            || (execution != null && execution != Execution.PLAIN))) {
      throw new UsageException(
          "--chat",
          "the plain execution on the CPU, without guesses",
          speculate ? "--speculate" : "another",
          "leave --device, --execution and --speculate out");
    }
  }

  /** What new tokens follow: the prompt, or nothing yet, where an encoder has read that. */
  private static long[] begun(MoxiePackage pack, Model model, long[] ids) {
    Architecture.Encoder encoder = pack.architecture().encoder();
    if (encoder == null) {
      return ids;
    }
    model.read(ids);
    return new long[] {encoder.start()};
  }

  /** A text for an encoder has marks around it that no file of a checkpoint describes. */
  private static void requireContinuing(MoxiePackage pack) {
    if (pack.architecture().encoder() != null) {
      throw new UsageException(
          "--prompt",
          "a model that continues a text",
          "one whose encoder reads it first",
          "pass the text's tokens as --prompt-ids, as the model's own tokenizer has them");
    }
  }

  private void requireFit(Execution chosen) {
    if (speculate && (chosen != Execution.PLAIN || memoryBudget != null)) {
      throw new UsageException(
          "--speculate",
          "plain execution without --memory-budget",
          memoryBudget == null ? chosen.name().toLowerCase(Locale.ROOT) : "one",
          "pass --device cpu --execution plain and no budget, or leave it out");
    }
    if (memoryBudget != null && chosen != Execution.PLAIN) {
      throw new UsageException(
          "--memory-budget",
          "plain execution, which reads weights as it needs them",
          chosen.name().toLowerCase(Locale.ROOT),
          "pass --device cpu --execution plain, or leave it out");
    }
  }

  /** Which form of latent attention's cache the device takes; nothing for other attention. */
  private static String cache(MoxiePackage pack, Device device, Execution execution) {
    return switch (pack.architecture().layers().getFirst().attention()) {
      case Attention.GroupedQuery _, Attention.Recurrent _, Attention.Compressed _ -> "";
      case Attention.MultiHeadLatent a ->
          execution == Execution.KERNELS || CacheLayout.of(a, device.target()).latent()
              ? ", cache of compressed latents"
              : ", cache of every head's keys and values, since latents of "
                  + (a.latentSize() + a.shared())
                  + " are wider than its attention takes";
    };
  }

  private void requireFit(MoxiePackage pack, long[] ids) {
    int vocabulary = pack.architecture().vocabSize();
    if (ids.length == 0 || Arrays.stream(ids).anyMatch(id -> id < 0 || id >= vocabulary)) {
      throw new UsageException(
          "the prompt",
          "at least one token, each from 0 to " + (vocabulary - 1),
          Arrays.toString(ids),
          "pass another");
    }
    long most = pack.architecture().maxPositions();
    if ((long) ids.length + maxTokens > most) {
      throw new UsageException(
          "--max-tokens",
          "prompt and new tokens to fit the model's " + most + " positions",
          ids.length + " and " + maxTokens,
          "pass fewer");
    }
  }

  private Sampler sampler() {
    if (maxTokens < 1) {
      throw new UsageException(
          "--max-tokens", "a number from 1", String.valueOf(maxTokens), "pass another");
    }
    if (temperature == 0 && (topK != null || topP != null || seed != null)) {
      throw new UsageException(
          "--top-k, --top-p and --seed",
          "a --temperature above 0, without which nothing is drawn",
          "0",
          "pass one, as in --temperature 0.8, or leave them out");
    }
    int k = Objects.requireNonNullElse(topK, 0);
    double p = Objects.requireNonNullElse(topP, 1.0);
    try {
      return new Sampler(temperature, k, p, Objects.requireNonNullElse(seed, 0L));
    } catch (IllegalArgumentException e) {
      throw new UsageException(
          "sampling",
          "--temperature from 0, --top-k from 0, --top-p above 0 and at most 1",
          temperature + ", " + k + ", " + p,
          "pass others");
    }
  }
}
