package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UnsupportedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Files that hold a parameter each, in the order of a tree that no file states, as Grok-1 is
 * released: {@code tensor00000_000} and so on, the second number that of a process, of which there
 * was one (xAI, 2024, {@code checkpoint.py}, {@code load_tensors}).
 */
public final class NumberedFiles {
  static final String NAMES = "tensor\\d{5}_\\d{3}";

  private static final Pattern NAME = Pattern.compile(NAMES);

  private NumberedFiles() {}

  /** What a file is called, counted from 0. */
  public static String name(int number) {
    return String.format(Locale.ROOT, "tensor%05d_000", number);
  }

  /** Whether a file is called like one. */
  public static boolean is(String name) {
    return NAME.matcher(name).matches();
  }

  /**
   * Those of a folder, from the first to the last.
   *
   * @return none if it has none
   * @throws dev.moxie.format.error.InvalidInputException if one of them is missing, or there were
   *     several processes
   */
  static Set<String> in(Path folder) {
    List<String> names;
    try (Stream<Path> entries = Files.list(folder)) {
      names =
          entries
              .map(entry -> entry.getFileName().toString())
              .filter(NumberedFiles::is)
              .sorted()
              .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    for (int i = 0; i < names.size(); i++) {
      String found = names.get(i);
      if (!found.endsWith("_000")) {
        throw new UnsupportedException(
            folder.resolve(found).toString(),
            "files of one process, whose names end in _000",
            "one of another",
            "this build does not join the parts of several processes");
      }
      if (!found.equals(name(i))) {
        throw new CorruptException(
            folder.resolve(name(i)).toString(),
            "a file of each number up to that of " + names.getLast(),
            "none",
            "the checkpoint is incomplete, fetch it again");
      }
    }
    return new TreeSet<>(names);
  }
}
