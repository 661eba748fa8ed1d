package dev.moxie.cli;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.text.Line;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.execution.Sequences;
import dev.moxie.runtime.execution.SpeculativeModel;
import dev.moxie.runtime.generation.TextTokenizer;
import dev.moxie.runtime.http.Metrics;
import dev.moxie.runtime.http.Served;
import dev.moxie.runtime.http.Server;
import dev.moxie.runtime.serve.Scheduler;
import dev.moxie.runtime.template.ChatPrompt;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "serve",
    description = "Serves a package over HTTP, by the interface of OpenAI, on the CPU.",
    footer = {
      "",
      "GET / (a page for people) /v1/models /health /version /metrics; POST /v1/completions",
      "/v1/chat/completions /tokenize /detokenize /apply-template. The first interrupt lets answers"
          + " end, for ten seconds."
    })
final class ServeCommand implements Callable<Integer> {
  private static final String KEY_VARIABLE = "MOXIE_API_KEY";
  private static final Duration GRACE = Duration.ofSeconds(10);
  private static final int MOST_PORT = 65535;

  @Parameters(paramLabel = "PACKAGE", description = "The package.")
  private Path folder = Path.of("");

  @Option(
      names = "--host",
      paramLabel = "ADDRESS",
      description =
          "Where to listen; default: ${DEFAULT-VALUE}, where this machine alone can ask. 0.0.0.0"
              + " lets others, who need a key then if there is one.")
  private String host = "127.0.0.1";

  @Option(
      names = "--port",
      paramLabel = "N",
      description = "Default: ${DEFAULT-VALUE}; 0 takes any that is free.")
  private int port = 8080;

  @Option(
      names = "--model-name",
      paramLabel = "NAME",
      description = "What clients call the model; default: the package's folder.")
  private @Nullable String name;

  @Option(
      names = "--api-key-file",
      paramLabel = "FILE",
      description =
          "Keys, one a line, of which clients must have one; the variable "
              + KEY_VARIABLE
              + " may hold one as well.")
  private @Nullable Path keyFile;

  @Option(
      names = "--chat-template",
      paramLabel = "FILE|none",
      description = "Makes prompts of messages; default: the one that the package brings.")
  private @Nullable String template;

  @Option(
      names = "--max-running",
      paramLabel = "N",
      description = "Texts that are written at once; default: ${DEFAULT-VALUE}.")
  private int mostRunning = 64;

  @Option(
      names = "--max-waiting",
      paramLabel = "N",
      description =
          "Texts that wait besides; more are answered with 429. Default: ${DEFAULT-VALUE}.")
  private int mostWaiting = 256;

  @Option(
      names = "--cache",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      description =
          "Memory for what layers keep of tokens, as in 2GB; default: half of the JVM's heap.")
  private @Nullable Long cache;

  @Option(
      names = "--memory-budget",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      description = RunCommand.MEMORY_BUDGET)
  private @Nullable Long memoryBudget;

  @Option(names = "--speculate", description = RunCommand.SPECULATE)
  private boolean speculate;

  @Option(
      names = "--expert-metrics",
      description =
          "Count the tokens of each expert in /metrics, not of layers alone: as many series as the"
              + " model has experts.")
  private boolean expertMetrics;

  @Option(
      names = "--max-body",
      paramLabel = "SIZE",
      converter = ByteSize.class,
      description = "Of a request; default: 8MB.")
  private long mostBytes = 8_000_000;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      description = "That an answer may take; default: ${DEFAULT-VALUE}.")
  private int timeout = 600;

  @Override
  public Integer call() throws InterruptedException {
    InetSocketAddress address = address();
    requireAtLeastOne("--max-running", mostRunning);
    requireAtLeastOne("--max-waiting", mostWaiting);
    requireAtLeastOne("--timeout", timeout);
    if (mostBytes < 1 || mostBytes >= Integer.MAX_VALUE) {
      throw new UsageException(
          "--max-body", "from 1 byte to 2 GB", mostBytes + " bytes", "pass another");
    }
    if (speculate && memoryBudget != null) {
      throw new UsageException(
          "--speculate",
          "no --memory-budget with it, which has no room for the layer that guesses",
          "one",
          "leave one of them out");
    }
    List<String> keys = keys();
    long cacheBytes = cache == null ? Runtime.getRuntime().maxMemory() / 2 : cache;
    try (MoxiePackage pack = MoxiePackage.open(folder);
        TextTokenizer tokenizer = TextTokenizer.isThere(pack) ? TextTokenizer.of(pack) : null) {
      if (speculate) {
        SpeculativeModel.predictionOfTexts(pack);
      }
      try (PlainModel model = PlainModel.open(pack, FirstOpening.check())) {
        String served = name == null ? modelName() : name;
        var metrics = new Metrics(served, cacheBytes);
        Sequences sequences =
            speculate ? model.guessingSequences(cacheBytes) : model.sequences(cacheBytes);
        metrics.show(sequences.load(), expertMetrics);
        metrics.count(model, memoryBudget == null ? null : model.limitMemory(memoryBudget));
        try (var scheduler =
            new Scheduler(
                sequences,
                pack.architecture().vocabSize(),
                pack.architecture().maxPositions(),
                mostRunning,
                mostWaiting,
                metrics)) {
          if (speculate) {
            metrics.countGuesses(scheduler);
          }
          serve(
              new Served(
                  served,
                  tokenizer,
                  template(pack),
                  pack.architecture().vocabSize(),
                  pack.architecture().maxPositions(),
                  EndTokens.of(pack).ids(),
                  scheduler,
                  System.currentTimeMillis() / 1000),
              new Server.Settings(
                  address, keys, (int) mostBytes, Duration.ofSeconds(timeout), Version.current()),
              metrics);
        }
      }
    }
    return 0;
  }

  private static void serve(Served served, Server.Settings settings, Metrics metrics)
      throws InterruptedException {
    Server server = Server.start(served, settings, metrics);
    // The JVM waits for it, and so do answers.
    var hook = new Thread(() -> close(server, served), "moxie-shutdown");
    try {
      Runtime.getRuntime().addShutdownHook(hook);
      InetSocketAddress at = server.address();
      System.out.println(
          Line.of(
              "%s at http://%s:%d/v1"
                  .formatted(served.name(), at.getAddress().getHostAddress(), at.getPort())));
      System.out.flush();
      new CountDownLatch(1).await(); // Until the process is told to end.
    } finally {
      server.close();
      if (!hook.isAlive()) {
        Runtime.getRuntime().removeShutdownHook(hook);
      }
    }
  }

  private static void close(Server server, Served served) {
    server.close(GRACE);
    served.scheduler().close();
  }

  private Served.@Nullable Template template(MoxiePackage pack) {
    if ("none".equals(template)) {
      return null;
    }
    Optional<ChatPrompt> prompt =
        template == null
            ? ChatPrompt.of(pack)
            : Optional.of(ChatPrompt.of(pack, Path.of(template)));
    ZoneId zone = ZoneId.systemDefault();
    return prompt
        .map(one -> (Served.Template) given -> one.render(given, ZonedDateTime.now(zone)))
        .orElse(null);
  }

  private String modelName() {
    return folder.toAbsolutePath().normalize().getFileName().toString();
  }

  private InetSocketAddress address() {
    if (port < 0 || port > MOST_PORT) {
      throw new UsageException("--port", "from 0 to " + MOST_PORT, "" + port, "pass another");
    }
    try {
      return new InetSocketAddress(InetAddress.getByName(host), port);
    } catch (UnknownHostException e) {
      throw new UsageException("--host", "an address of this machine", host, "pass another");
    }
  }

  private static void requireAtLeastOne(String option, int number) {
    if (number < 1) {
      throw new UsageException(option, "a number from 1", "" + number, "pass another");
    }
  }

  /** Never shown. */
  private List<String> keys() {
    List<String> keys = new ArrayList<>();
    String variable = System.getenv(KEY_VARIABLE);
    if (variable != null && !variable.isBlank()) {
      keys.add(variable.strip());
    }
    if (keyFile != null) {
      try {
        Files.readAllLines(keyFile).stream()
            .map(String::strip)
            .filter(key -> !key.isEmpty())
            .forEach(keys::add);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      if (keys.isEmpty()) {
        throw new UsageException(
            "--api-key-file", "a file with a key on each line", keyFile + " with none", "add one");
      }
    }
    return keys;
  }
}
