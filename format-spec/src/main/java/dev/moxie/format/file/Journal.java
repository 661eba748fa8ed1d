package dev.moxie.format.file;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;

/**
 * What an unfinished folder is to become and which of its files are complete, so that an
 * interrupted writer can go on, and knows which files there are its own. After a first line that
 * says what it is, each is a JSON object: first the job, then one for each file, appended once the
 * file is on the disk. A last line without its end was being written when the power went, and does
 * not count.
 *
 * <p>It is a claim, not a proof: who keeps a claimed file reads it again before. It is locked while
 * it is written, and goes last of all.
 */
final class Journal implements AutoCloseable {
  static final Signature SIGNATURE = Signature.of("moxie journal\n");

  /** The digests of DeepSeek-V3's 92 000 tensors take about 10 MB. */
  private static final int MAX_BYTES = 1 << 30;

  /** The name of the folder itself, which is complete and about to take its target's. */
  private static final String ALL = ".";

  /** How the line of a header begins. */
  private static final String HEADER = "{\"job\":";

  private final DiskFile file;
  private final Map<String, List<String>> finished;
  private boolean appended;

  /**
   * The second line, and again where somebody went on who will write other files.
   *
   * @param replace whether what is at the target may be replaced by it
   */
  record Header(StagedFolder.Job job, boolean replace) {}

  /**
   * What is complete.
   *
   * @param parts digests of a file's, in the order of their bytes; of the folder itself, the names
   *     in the one that it replaces
   */
  private record Entry(String file, List<String> parts) {
    Entry {
      Objects.requireNonNull(file, "file is missing");
      parts = List.copyOf(parts);
    }
  }

  /**
   * What a journal on the disk says.
   *
   * @param header null if it does not say what it is for
   * @param replaced once the whole folder was complete and about to be renamed, the names in the
   *     one that it replaces; null before
   * @param damaged the first line that this class did not write; 0 for none
   * @param bytes of its whole lines
   */
  record Content(
      @Nullable Header header,
      Map<String, List<String>> finished,
      @Nullable List<String> replaced,
      int damaged,
      int bytes) {}

  private Journal(DiskFile file, Map<String, List<String>> finished) {
    this.file = file;
    this.finished = finished;
  }

  /** Starts a journal in the place of any other. */
  static Journal start(Path path, Path target, Header header) throws IOException {
    var journal = new Journal(Beside.openAlone(path, SIGNATURE, target), Map.of());
    try {
      journal.file.truncate(0);
      journal.file.write(ByteBuffer.wrap(SIGNATURE.bytes()));
      journal.append(header);
      return journal;
    } catch (IOException | RuntimeException e) {
      journal.close();
      throw e;
    }
  }

  /** Goes on with a journal. */
  static Journal resume(Path path, Path target, Content content, Header header) throws IOException {
    var journal = new Journal(Beside.openAlone(path, SIGNATURE, target), content.finished());
    try {
      journal.file.truncate(content.bytes());
      if (!header.equals(content.header())) {
        journal.append(header);
      }
      return journal;
    } catch (IOException | RuntimeException e) {
      journal.close();
      throw e;
    }
  }

  /**
   * Reads a journal, if there is one.
   *
   * @throws UsageException if something else is there
   */
  static Content read(Path path) throws IOException {
    byte[] bytes = Beside.read(path, SIGNATURE, MAX_BYTES);
    String text = new String(bytes, StandardCharsets.UTF_8);
    List<String> lines = text.substring(0, text.lastIndexOf('\n') + 1).lines().toList();
    Header header = null;
    Map<String, List<String>> finished = new LinkedHashMap<>();
    int number = 1;
    int damaged = 0;
    try {
      for (; number < lines.size(); number++) {
        if (header == null || lines.get(number).startsWith(HEADER)) {
          header = StrictJson.mapper(false).readValue(lines.get(number), Header.class);
        } else {
          Entry entry = StrictJson.mapper(false).readValue(lines.get(number), Entry.class);
          finished.put(entry.file(), entry.parts());
        }
      }
    } catch (JacksonException | NullPointerException e) {
      damaged = number + 1;
    }
    List<String> replaced = finished.remove(ALL);
    return new Content(header, finished, replaced, damaged, wholeBytes(bytes));
  }

  private static int wholeBytes(byte[] bytes) {
    int end = bytes.length;
    while (end > 0 && bytes[end - 1] != '\n') {
      end--;
    }
    return end;
  }

  /**
   * Makes sure that a journal can be gone on with, by the same job.
   *
   * @throws CorruptException if a whole line is not one that this class wrote
   * @throws UsageException naming what differs
   */
  static void requireSame(Path path, Path target, Content before, StagedFolder.Job job) {
    if (before.damaged() > 0) {
      throw new CorruptException(
          path + ", line " + before.damaged(),
          "a record of what an interrupted command has finished",
          "something else",
          "pass --force to start over; what it had finished is then written again");
    }
    Header header = before.header();
    if (header == null || before.finished().isEmpty()) {
      return;
    }
    Map<String, String> then = header.job().facts();
    var names = new TreeSet<>(then.keySet());
    names.addAll(job.facts().keySet());
    List<String> differing =
        names.stream()
            .filter(name -> !Objects.equals(then.get(name), job.facts().get(name)))
            .map(name -> name + " was " + then.get(name) + " and is " + job.facts().get(name))
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

  /** Digests of a file that the journal claimed when it was opened; null if it did not. */
  @Nullable List<String> finished(String name) {
    return finished.get(name);
  }

  /** Whether it claims no file. */
  synchronized boolean isEmpty() {
    return finished.isEmpty() && !appended;
  }

  /** Records a file that is on the disk. */
  synchronized void append(String name, List<String> digests) throws IOException {
    append(new Entry(name, digests));
    appended = true;
  }

  /**
   * Records that all is on the disk.
   *
   * @param replaced names in the folder that will be set aside
   */
  void appendAll(List<String> replaced) throws IOException {
    append(ALL, replaced);
  }

  private void append(Object line) throws IOException {
    String json = StrictJson.mapper(false).writeValueAsString(line) + "\n";
    file.write(ByteBuffer.wrap(json.getBytes(StandardCharsets.UTF_8)));
    file.sync();
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
