package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.file.Disk;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Commands that write, stopped at every step that changes the disk: once as SIGKILL stops them, so
 * that nothing is tidied up, and once as a disk that is full for a moment. {@code
 * converter/kill-test.sh} does it to real processes at random moments.
 */
@Exhaustive
class EveryStepTest {
  private static final Path CHECKPOINT = Fixtures.root().resolve("variants/f16-tied");

  @TempDir Path scratch;

  /** A command, and what it finds where it is to write. */
  enum Command {
    CONVERT_BY_FORCE(
        "q", "convert", CHECKPOINT.toString(), "q", "--force", "--dtype", "f32", "--threads", "1"),
    RESHARD("p", "reshard", "q", "p", "--threads", "1"),
    EXPORT("e", "export", "q", "e", "--threads", "1"),
    ROUTING("r.arrow", "routing", "q", "--ids", "1,2,3", "--arrow", "r.arrow"),
    REPLAY("r.safetensors", "routing", "q", "--ids", "1,2", "--replay", "r.safetensors"),
    BASELINE("b.json", "baseline", "check", "q", "b.json", "--update"),
    REPORT("v.html", "verify", "q", "--html", "v.html"),
    GRAPH("g.onnx", "inspect", "q", "--onnx", "g.onnx");

    private final String target;
    private final List<String> words;

    Command(String target, String... words) {
      this.target = target;
      this.words = List.of(words);
    }

    String setAside() {
      return "." + target + ".moxie-old";
    }

    /** The command with its paths in a folder. */
    String[] in(Path folder) {
      return words.stream()
          .map(
              word ->
                  word.matches("[a-z]([.](arrow|safetensors|json|html|onnx))?")
                      ? folder.resolve(word).toString()
                      : word)
          .toArray(String[]::new);
    }
  }

  /** What SIGKILL is to a process, to a thread: every later step throws it again. */
  private static final class Killed extends RuntimeException {
    private static final long serialVersionUID = 1L;
  }

  /** Packages and results of earlier commands, as each command finds them. */
  private Path prepare() throws IOException {
    Path before = Files.createDirectory(scratch.resolve("before"));
    Path changed = scratch.resolve("changed");
    copy(CHECKPOINT, changed);
    String config = Files.readString(changed.resolve("config.json"));
    Files.writeString(
        changed.resolve("config.json"),
        config.replaceFirst("\"rms_norm_eps\": [^,]*", "\"rms_norm_eps\": 0.5"));
    String other = scratch.resolve("other").toString();
    succeed("convert", changed.toString(), other, "--quiet");
    succeed("baseline", "record", other, before.resolve("b.json").toString(), "--ids", "1,2");
    succeed("routing", other, "--ids", "5", "--arrow", before.resolve("r.arrow").toString());
    succeed("verify", other, "--html", before.resolve("v.html").toString());
    succeed("convert", CHECKPOINT.toString(), before.resolve("q").toString(), "--quiet");
    Files.writeString(before.resolve("somebody's"), "precious");
    return before;
  }

  private static CommandLineTest.Outcome succeed(String... words) {
    CommandLineTest.Outcome outcome = CommandLineTest.moxie(words);
    assertEquals(0, outcome.status(), String.join(" ", words) + ": " + outcome.err());
    return outcome;
  }

  @ParameterizedTest
  @EnumSource
  void aTargetIsAbsentOldOrCompleteAndTheSameCommandMakesItSo(Command command) throws IOException {
    Path before = prepare();
    Map<String, String> old = content(before);
    Path folder = scratch.resolve("folder");
    copy(before, folder);
    var steps = new AtomicInteger();
    Disk.watched((step, path) -> steps.incrementAndGet(), () -> succeed(command.in(folder)));
    Map<String, String> complete = content(folder);
    assertNotEquals(old, complete);
    assertTrue(steps.get() > 3, steps.toString());
    for (int at = 0; at < steps.get(); at++) {
      for (Stop stop : Stop.values()) {
        empty(folder);
        copy(before, folder);
        var stopped = new Stopped(stop, at);
        CommandLineTest.Outcome outcome = stopped.run(command.in(folder));
        Map<String, String> left = content(folder);
        if (outcome.status() == 0) {
          // Without direct access a file is made in the ordinary way, and what was checked need not
          // be remembered.
          assertTrue(
              stopped.where.contains(" create ") || stopped.where.endsWith(".moxie-checked"),
              stopped.where + outcome.err());
          assertEquals(complete, left, stopped.where);
          continue;
        }
        if (stop == Stop.FAILED) {
          assertEquals(4, outcome.status(), stopped.where + outcome.err());
          assertTrue(outcome.err().contains("No space left on device"), outcome.err());
        }
        // Between two renames a package that is being replaced has another name.
        String name = left.containsKey(command.target) ? command.target : command.setAside();
        assertTrue(
            below(name, left).equals(below(command.target, old))
                || below(name, left).equals(below(command.target, complete)),
            stopped.where + " left half of " + command.target);
        succeed(command.in(folder));
        assertEquals(complete, content(folder), stopped.where + ", and the command once more");
      }
    }
  }

  private enum Stop {
    KILLED,
    FAILED
  }

  /** Stands at a step. */
  private static final class Stopped implements Disk.Watcher {
    private final Stop stop;
    private final int at;
    private final AtomicInteger steps = new AtomicInteger();
    private volatile String where = "nowhere";

    Stopped(Stop stop, int at) {
      this.stop = stop;
      this.at = at;
    }

    CommandLineTest.Outcome run(String... words) {
      List<CommandLineTest.Outcome> outcomes = new ArrayList<>();
      Disk.watched(this, () -> outcomes.add(CommandLineTest.moxie(words)));
      return outcomes.getFirst();
    }

    @Override
    public void before(String step, Path path) throws IOException {
      int now = steps.getAndIncrement();
      if (now == at) {
        where = stop + " before " + step + " " + path;
      }
      if (stop == Stop.KILLED && now >= at) {
        throw new Killed();
      }
      if (now == at) {
        throw new FileSystemException(path.toString(), null, "No space left on device");
      }
    }
  }

  /** What lies at a path, by the rest of the name. */
  private static Map<String, String> below(String name, Map<String, String> content) {
    Map<String, String> below = new TreeMap<>();
    content.forEach(
        (path, what) -> {
          if (path.equals(name) || path.startsWith(name + "/")) {
            below.put(path.substring(name.length()), what);
          }
        });
    return below;
  }

  private static Map<String, String> content(Path folder) throws IOException {
    Map<String, String> content = new TreeMap<>(FolderDigests.of(folder));
    // That a lowering was checked need not be remembered, and a command goes on without.
    content.keySet().removeIf(name -> name.endsWith(".moxie-checked"));
    try (Stream<Path> all = Files.walk(folder)) {
      all.filter(Files::isDirectory)
          .forEach(path -> content.put(folder.relativize(path).toString(), "a folder"));
    }
    return content;
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path path : all.toList()) {
        Path there = to.resolve(from.relativize(path));
        if (!Files.isDirectory(there)) {
          Files.copy(path, there, StandardCopyOption.COPY_ATTRIBUTES);
        }
      }
    }
  }

  private static void empty(Path folder) throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      for (Path path : all.toList()) {
        Disk.deleteTree(path);
      }
    }
  }
}
