package dev.moxie.converter.bench;

import dev.moxie.converter.checkpoint.Checkpoint;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * Conversion beside copying and digesting the same files: whole commands, each run several times in
 * turn, so that all have the same weather. What one wrote is removed and the disk synced before the
 * next starts.
 */
public final class ConvertBenchmark {
  private final Path checkpoint;
  private final Path work;
  private final boolean cold;

  private ConvertBenchmark(Path checkpoint, Path work, boolean cold) {
    this.checkpoint = checkpoint;
    this.work = work;
    this.cold = cold;
  }

  /** A command that is measured, and how long it took so far. */
  private record Contestant(String name, List<String> command, List<Double> seconds) {}

  /**
   * Measures.
   *
   * @param work an existing folder, on the file system to write to
   * @param moxie the command line up to the verb
   * @param options of the conversion
   * @param rounds times that each command runs
   * @param cold whether the checkpoint is to be read from the disk each time
   * @return cp, sha256sum, conversion
   */
  public static List<Timing> run(
      Path checkpoint,
      Path work,
      List<String> moxie,
      List<String> options,
      int rounds,
      boolean cold) {
    return new ConvertBenchmark(checkpoint, work, cold).run(moxie, options, rounds);
  }

  private List<Timing> run(List<String> moxie, List<String> options, int rounds) {
    Path copy = work.resolve("copy");
    Path pack = work.resolve("package");
    List<Path> weights =
        Checkpoint.open(checkpoint).headers().keySet().stream().map(checkpoint::resolve).toList();
    List<String> digest = new ArrayList<>(List.of("sha256sum"));
    weights.forEach(file -> digest.add(file.toString()));
    List<String> convert = new ArrayList<>(moxie);
    convert.addAll(List.of("convert", checkpoint.toString(), pack.toString(), "--quiet"));
    convert.addAll(options);
    List<Contestant> contestants =
        List.of(
            new Contestant(
                "cp -r",
                List.of("cp", "-r", checkpoint.toString(), copy.toString()),
                new ArrayList<>()),
            new Contestant("sha256sum", digest, new ArrayList<>()),
            new Contestant("moxie convert", convert, new ArrayList<>()));
    long packageBytes = 0;
    for (int round = 0; round < rounds; round++) {
      for (int i = 0; i < contestants.size(); i++) {
        // Whoever follows whom changes from round to round.
        Contestant contestant = contestants.get((i + round) % contestants.size());
        prepare(weights);
        long start = System.nanoTime();
        Commands.execute(contestant.command());
        contestant.seconds().add((System.nanoTime() - start) / 1e9);
        packageBytes = Math.max(packageBytes, bytes(pack));
        delete(copy);
        delete(pack);
      }
    }
    long source = bytes(checkpoint);
    return List.of(
        new Timing("cp -r", 2 * source, contestants.get(0).seconds()),
        new Timing("sha256sum", source, contestants.get(1).seconds()),
        new Timing("moxie convert", source + packageBytes, contestants.get(2).seconds()));
  }

  private void prepare(List<Path> weights) {
    Commands.execute(List.of("sync"));
    if (cold) {
      weights.forEach(PageCache::drop);
    }
  }

  private static long bytes(Path root) {
    if (!Files.exists(root)) {
      return 0;
    }
    try (Stream<Path> files = Files.walk(root)) {
      long bytes = 0;
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        bytes += Files.size(file);
      }
      return bytes;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void delete(Path root) {
    Commands.execute(List.of("rm", "-rf", root.toString()));
  }

  /** The rows as a table; ratios are of bytes per second, to those of the first row. */
  public static String table(List<Timing> rows) {
    var lines = new ArrayList<String>();
    lines.add("command         median s   min to max s    GB/s read + written   ratio to cp");
    for (Timing row : rows) {
      lines.add(
          String.format(
              Locale.ROOT,
              "%-15s %8.2f   %5.2f to %5.2f   %19.2f   %11.2f",
              row.name(),
              row.median(),
              row.seconds().getFirst(),
              row.seconds().getLast(),
              row.rate(),
              row.rate() / rows.getFirst().rate()));
    }
    return String.join("\n", lines);
  }
}
