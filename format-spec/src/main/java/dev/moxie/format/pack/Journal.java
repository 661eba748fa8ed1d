package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Channels;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.core.JacksonException;

/**
 * Which shards of an unfinished package are complete, so that an interrupted writer can go on. Each
 * line is a JSON object: first the job, then one for each shard, appended once the shard is on the
 * disk. A last line without its end was being written when the power went, and does not count.
 *
 * <p>It is a claim, not a proof: {@link PackageWriter} reads a claimed shard again before it keeps
 * it.
 */
final class Journal implements AutoCloseable {
  /** The digests of DeepSeek-V3's 92 000 tensors take about 10 MB. */
  private static final long MAX_BYTES = 1L << 30;

  private final FileChannel channel;
  private final Map<String, List<Digests.Result>> finished;
  private boolean appended;

  /**
   * What is being written.
   *
   * @param facts everything that the result depends on, by name
   * @param replace whether a finished package may be replaced by it
   */
  record Job(Map<String, String> facts, boolean replace) {
    Job {
      facts = Collections.unmodifiableMap(new TreeMap<>(facts));
    }
  }

  /**
   * A finished shard.
   *
   * @param leaves the digests of its leaves, fillers included, in the order of their bytes
   */
  private record Shard(String file, List<Digests.Result> leaves) {
    Shard {
      Objects.requireNonNull(file, "file is missing");
      leaves = List.copyOf(leaves);
    }
  }

  /** What a journal on the disk says. */
  record Content(Job job, Map<String, List<Digests.Result>> finished, long bytes) {}

  private Journal(FileChannel channel, Map<String, List<Digests.Result>> finished) {
    this.channel = channel;
    this.finished = finished;
  }

  /** Starts a journal, replacing any other. */
  static Journal start(Path file, Job job) throws IOException {
    FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE);
    var journal = new Journal(channel, Map.of());
    journal.append(job);
    return journal;
  }

  /** Goes on with a journal. */
  static Journal resume(Path file, Content content) throws IOException {
    FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE);
    channel.truncate(content.bytes()).position(content.bytes());
    return new Journal(channel, content.finished());
  }

  /**
   * Reads a journal.
   *
   * @return nothing if there is none, or none that claims a shard
   * @throws CorruptException if a whole line is not one that this class wrote
   */
  static Optional<Content> read(Path file) {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    String text = new String(StrictJson.readBounded(file, MAX_BYTES), StandardCharsets.UTF_8);
    String whole = text.substring(0, text.lastIndexOf('\n') + 1);
    List<String> lines = whole.lines().toList();
    if (lines.size() < 2) {
      return Optional.empty();
    }
    int number = 1;
    try {
      Job job = StrictJson.mapper(false).readValue(lines.getFirst(), Job.class);
      Map<String, List<Digests.Result>> finished = new LinkedHashMap<>();
      for (String line : lines.subList(1, lines.size())) {
        number++;
        Shard shard = StrictJson.mapper(false).readValue(line, Shard.class);
        finished.put(shard.file(), shard.leaves());
      }
      long bytes = whole.getBytes(StandardCharsets.UTF_8).length;
      return Optional.of(new Content(job, finished, bytes));
    } catch (JacksonException | NullPointerException e) {
      throw new CorruptException(
          file + ", line " + number,
          "a record of what an interrupted command has finished",
          "something else",
          "pass --force to start over; what it had finished is then written again");
    }
  }

  /**
   * Makes sure that what was interrupted is what is now to be done.
   *
   * @throws UsageException naming what differs
   */
  static void requireSame(Path target, Map<String, String> before, Map<String, String> now) {
    var names = new TreeSet<>(before.keySet());
    names.addAll(now.keySet());
    List<String> differing =
        names.stream()
            .filter(name -> !Objects.equals(before.get(name), now.get(name)))
            .map(name -> name + " was " + before.get(name) + " and is " + now.get(name))
            .toList();
    if (!differing.isEmpty()) {
      throw new UsageException(
          target.toString(),
          "the source and options of the command that was interrupted here",
          (differing.size() == 1 ? "another: " : differing.size() + " differences, the first: ")
              + differing.getFirst(),
          "run that command again, choose another target, or pass --force to start over");
    }
  }

  /** Digests of the leaves of a shard that the journal claimed when it was opened. */
  Optional<List<Digests.Result>> finished(String shard) {
    return Optional.ofNullable(finished.get(shard));
  }

  /** Whether it claims no shard. */
  synchronized boolean isEmpty() {
    return finished.isEmpty() && !appended;
  }

  /** Records a shard that is on the disk. */
  synchronized void append(String shard, List<Digests.Result> leaves) throws IOException {
    append(new Shard(shard, leaves));
    appended = true;
  }

  private void append(Object line) throws IOException {
    String json = StrictJson.mapper(false).writeValueAsString(line) + "\n";
    Channels.writeFully(channel, ByteBuffer.wrap(json.getBytes(StandardCharsets.UTF_8)));
    channel.force(false);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
