package dev.moxie.verifier.bench;

import dev.moxie.converter.bench.Commands;
import dev.moxie.converter.bench.Timing;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.Verifier;
import dev.moxie.verifier.equivalence.EquivalenceCheck;
import dev.moxie.verifier.integrity.IntegrityCheck;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Verification in a warm JVM, in turn with sha256sum of the package's files, as many at a time as
 * there are processors. The first round is not counted: it is for the compiler.
 */
public final class VerifyBenchmark {
  private final List<Contestant> contestants = new ArrayList<>();

  private record Contestant(String name, long bytes, Runnable run, List<Double> seconds) {}

  private VerifyBenchmark() {}

  /**
   * Measures.
   *
   * @param source null if equivalence is not measured
   * @param references none if only bytes are
   * @param rounds counted
   * @return sha256sum, integrity, equivalence if there is a source, all of it if there are
   *     references
   */
  public static List<Timing> run(
      Path pack, @Nullable Path source, List<Path> references, int rounds) {
    var benchmark = new VerifyBenchmark();
    List<Path> files = files(pack);
    long bytes = bytes(files);
    int processors = Runtime.getRuntime().availableProcessors();
    benchmark.add(
        "sha256sum, " + processors + " at a time", bytes, () -> digest(files, processors));
    benchmark.add("integrity", bytes, () -> integrity(pack));
    if (source != null) {
      benchmark.add("equivalence", bytes + bytes(files(source)), () -> equivalence(pack, source));
    }
    if (!references.isEmpty()) {
      long all = bytes + bytes(references) + (source == null ? 0 : bytes(files(source)));
      benchmark.add("everything", all, () -> everything(pack, source, references));
    }
    return benchmark.run(rounds);
  }

  private void add(String name, long bytes, Runnable run) {
    contestants.add(new Contestant(name, bytes, run, new ArrayList<>()));
  }

  private List<Timing> run(int rounds) {
    for (int round = 0; round <= rounds; round++) {
      for (Contestant contestant : contestants) {
        long start = System.nanoTime();
        contestant.run().run();
        if (round > 0) {
          contestant.seconds().add((System.nanoTime() - start) / 1e9);
        }
      }
    }
    return contestants.stream().map(c -> new Timing(c.name(), c.bytes(), c.seconds())).toList();
  }

  private static void digest(List<Path> files, int processors) {
    List<String> command = new ArrayList<>();
    command.addAll(
        List.of("sh", "-c", "printf '%s\\0' \"$@\" | xargs -0 -n 1 -P \"$0\" sha256sum"));
    command.add(String.valueOf(processors));
    files.forEach(file -> command.add(file.toString()));
    Commands.execute(command);
  }

  private static void integrity(Path folder) {
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      require(folder, IntegrityCheck.run(pack).verdict());
    }
  }

  private static void equivalence(Path folder, Path source) {
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      require(folder, EquivalenceCheck.run(pack, source).verdict());
    }
  }

  private static void everything(Path folder, @Nullable Path source, List<Path> references) {
    var executions = Execution.of(Device.CPU);
    require(folder, Verifier.verify(folder, source, references, executions).verdict());
  }

  private static void require(Path folder, Verdict verdict) {
    if (!verdict.passed()) {
      throw new CorruptException(
          folder.toString(),
          "a package that passes",
          "one that does not",
          "moxie verify says what differs");
    }
  }

  private static List<Path> files(Path folder) {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static long bytes(List<Path> files) {
    long bytes = 0;
    for (Path file : files) {
      try {
        bytes += Files.size(file);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    return bytes;
  }
}
