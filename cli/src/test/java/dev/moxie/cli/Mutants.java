package dev.moxie.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A bounded mutation run over every parser, in a process of its own: its heap is small, and what
 * ends a process is seen. Ends with 1 if a mutant gets more than a documented status and sentences.
 */
final class Mutants {
  /** Mutants of each kind of input in a run of one. */
  private static final Map<String, Integer> COUNTS =
      Map.ofEntries(
          Map.entry("safetensors", 2000),
          Map.entry("index", 1000),
          Map.entry("config", 1500),
          Map.entry("generation-config", 300),
          Map.entry("journal", 300),
          Map.entry("manifest", 1500),
          Map.entry("tensors-arrow", 2000),
          Map.entry("shard", 400),
          Map.entry("shard-unsealed", 200),
          Map.entry("config-of-a-package", 100),
          Map.entry("trace", 200),
          Map.entry("baseline", 800),
          Map.entry("tokenizer-json", 400),
          Map.entry("tokenizer-config-json", 100));

  private static final int ARGUMENTS = 500;

  /** One mutant in so many goes through the whole command. */
  private static final int WHOLE = 50;

  private static final int MAX_SECONDS = 20;
  private static final List<String> FORBIDDEN =
      List.of("java.", "Exception", "dev.moxie", "JsonToken", "bug in Moxie", "memory enough");

  private final long seed;
  private final int only;
  private final PrintStream console = System.out;
  private final ExecutorService worker =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().factory());
  private int mutants;
  private int failures;

  private Mutants(long seed, int only) {
    this.seed = seed;
    this.only = only;
  }

  /**
   * Arguments: folder, seed, how many times all mutants, of how many of them one; then, to repeat
   * one mutant, its kind and number.
   */
  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    int times = Integer.parseInt(arguments[2]);
    int share = Integer.parseInt(arguments[3]);
    String kind = arguments.length > 4 ? arguments[4] : "";
    var run =
        new Mutants(
            Long.parseLong(arguments[1]),
            arguments.length > 5 ? Integer.parseInt(arguments[5]) : -1);
    for (HostileInput input : HostileInputs.in(folder)) {
      if (kind.isEmpty() || kind.equals(input.name())) {
        run.run(input, times * COUNTS.get(input.name()) / share);
      }
    }
    if (kind.isEmpty() || kind.equals("arguments")) {
      run.arguments(folder, times * ARGUMENTS / share);
    }
    run.console.printf(
        "%d mutants, seed %d, %d of them badly met%n", run.mutants, run.seed, run.failures);
    System.exit(run.failures == 0 ? 0 : 1);
  }

  private void run(HostileInput input, int count) throws IOException {
    long start = System.nanoTime();
    Map<Integer, Integer> ends = new TreeMap<>();
    for (int i = Math.max(0, only); i < (only < 0 ? count : only + 1); i++) {
      var random = random(input.name(), i);
      byte[] original = input.originals().get(random.nextInt(input.originals().size()));
      input.place(Mutation.of(original, input.form(), random));
      byte[] placed = Files.readAllBytes(input.file());
      int status = 0;
      if (input.open() != null) {
        Map<String, String> before = snapshot(input.folder());
        status = hold(input.name(), i, input.open());
        requireSame(input, i, before, placed);
      }
      if (input.open() == null || i % WHOLE == 0 || only >= 0) {
        status = hold(input.name(), i, () -> Main.run(input.command().toArray(String[]::new)));
        requireNothingMade(input, i, status, placed);
      }
      ends.merge(status, 1, Integer::sum);
    }
    mutants += count;
    report(input.name(), count, ends, start);
  }

  private void arguments(Path folder, int count) throws IOException {
    long start = System.nanoTime();
    String pack = folder.resolve("trace/p").toString();
    List<List<String>> lines =
        List.of(
            List.of("verify", pack, "--json"),
            List.of("inspect", pack, "--json"),
            List.of("run", pack, "--prompt-ids", "1,2", "--max-tokens", "2", "--device", "cpu"),
            List.of("run", pack, "--prompt-ids", "1", "--temperature", "1", "--top-k", "3"),
            List.of("routing", pack, "--ids", "1,2", "--max-tokens", "4", "--json"),
            List.of("diff", pack, pack, "--all"),
            List.of("baseline", "record", pack, folder + "/b", "--ids", "1", "--greedy", "1"),
            List.of("convert", folder + "/index/c", folder + "/made", "--threads", "1"),
            List.of("reshard", pack, folder + "/made", "--expert-parallel", "2"),
            List.of("export", pack, folder + "/made", "--threads", "1"));
    List<String> pool =
        List.of(
            "",
            "-",
            "--",
            "-1",
            "0",
            "9223372036854775808",
            "NaN",
            "1e999",
            "1,,2",
            "1,2,",
            ",",
            "é",
            "a\nb",
            "\u001b[2J",
            "@" + folder + "/trace/p/moxie.json",
            "@missing",
            "x".repeat(5000),
            "--json",
            "--help",
            "--max-shard-size",
            "--threads",
            "--top-p",
            "--prompt",
            "--seed",
            "--reference",
            folder.toString(),
            "/dev/null",
            folder + "/none",
            "--ids",
            "--no-such",
            "--json=1",
            "%s%n",
            "${x}",
            "$HOME",
            "*");
    Map<Integer, Integer> ends = new TreeMap<>();
    for (int i = Math.max(0, only); i < (only < 0 ? count : only + 1); i++) {
      var random = random("arguments", i);
      List<String> mutant = Mutation.of(lines.get(random.nextInt(lines.size())), pool, random);
      String[] arguments = mutant.toArray(String[]::new);
      ends.merge(hold("arguments " + mutant, i, () -> Main.run(arguments)), 1, Integer::sum);
      for (String made : List.of("made", "b")) {
        delete(folder.resolve(made));
      }
    }
    mutants += count;
    report("arguments", count, ends, start);
  }

  private Random random(String name, int mutant) {
    return new Random(List.of(seed, name, mutant).hashCode());
  }

  private void report(String name, int count, Map<Integer, Integer> ends, long start) {
    console.printf(
        "%-24s%6d mutants, by status %s, %d ms%n",
        name, count, ends, TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
  }

  /** Returns the status that reading ends with, if that and what is said are as documented. */
  private int hold(String name, int mutant, Callable<?> reading) {
    var said = new ByteArrayOutputStream();
    var stream = new PrintStream(said, true, StandardCharsets.UTF_8);
    System.setOut(stream);
    System.setErr(stream);
    int status;
    try {
      status = worker.submit(() -> status(reading)).get(MAX_SECONDS, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      throw hung(name, mutant, "it takes more than " + MAX_SECONDS + " s");
    } catch (InterruptedException | ExecutionException e) {
      throw hung(name, mutant, String.valueOf(e.getCause()));
    } finally {
      System.setOut(console);
      System.setErr(console);
    }
    String text = said.toString(StandardCharsets.UTF_8);
    if (status < 0 || status > Failures.ENVIRONMENT) {
      failed(name, mutant, "status " + status + ": " + text);
    }
    for (String forbidden : FORBIDDEN) {
      if (text.contains(forbidden)) {
        failed(name, mutant, "it says \"" + forbidden + "\": " + text);
      }
    }
    return status;
  }

  private static int status(Callable<?> reading) {
    try {
      return reading.call() instanceof Integer status ? status : 0;
    } catch (Throwable e) {
      return Failures.report(Failures.of(e), false);
    }
  }

  private void requireSame(
      HostileInput input, int mutant, Map<String, String> before, byte[] placed)
      throws IOException {
    Map<String, String> after = snapshot(input.folder());
    if (!after.equals(before) || !Arrays.equals(placed, Files.readAllBytes(input.file()))) {
      failed(input.name(), mutant, "files changed from " + before + " to " + after);
    }
  }

  /** A command that fails leaves no target; what it left to go on with goes too. */
  private void requireNothingMade(HostileInput input, int mutant, int status, byte[] placed)
      throws IOException {
    Path made = input.folder().resolve("made");
    boolean journal = input.file().startsWith(made);
    if (!journal && !Arrays.equals(placed, Files.readAllBytes(input.file()))) {
      failed(input.name(), mutant, "the input was changed");
    }
    if (!Files.exists(made)) {
      return;
    }
    try (Stream<Path> files = Files.list(made)) {
      for (Path file : files.toList()) {
        boolean own = file.getFileName().toString().startsWith(".p.moxie-");
        if (status != 0 && !own) {
          failed(input.name(), mutant, "status " + status + ", but made " + file);
        }
        delete(file);
      }
    }
  }

  private static void delete(Path path) throws IOException {
    if (!Files.exists(path)) {
      return;
    }
    try (Stream<Path> files = Files.walk(path)) {
      for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  /** Name, size and time of everything in a folder. */
  private static Map<String, String> snapshot(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.collect(
          Collectors.toMap(
              file -> folder.relativize(file).toString(),
              file -> {
                try {
                  return Files.isDirectory(file)
                      ? "folder"
                      : Files.size(file) + " " + Files.getLastModifiedTime(file);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              },
              (a, b) -> a,
              TreeMap::new));
    }
  }

  private Error hung(String name, int mutant, String what) {
    failed(name, mutant, what);
    System.exit(1);
    return new AssertionError();
  }

  private void failed(String name, int mutant, String what) {
    failures++;
    String kind = name.split(" ", 2)[0];
    console.printf(
        "%s, mutant %d of seed %d: %s%nrepeat: mvn -pl cli -am verify -Dtest=MutantsTest"
            + " -Dtest.required=false -Dsurefire.failIfNoSpecifiedTests=false -Dmutants.seed=%d"
            + " -Dmutants.only=%s:%d%n",
        name, mutant, seed, what, seed, kind, mutant);
  }
}
