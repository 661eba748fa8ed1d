package dev.moxie.cli;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.FileNames;
import java.nio.file.Files;
import java.nio.file.Path;

/** The arguments and the working directory, as the system passed them. */
final class CommandWords {
  /** What Java puts in the place of bytes that are no text. */
  private static final char REPLACEMENT = '\uFFFD';

  private CommandWords() {}

  /**
   * Makes sure that they lead where the user meant: a name whose bytes were lost would be another
   * file's.
   *
   * @throws UsageException if an argument is not UTF-8
   * @throws EnvironmentException if that is for the locale, or the working directory is gone
   */
  static void require(String... arguments) {
    for (String argument : arguments) {
      if (argument.indexOf(REPLACEMENT) >= 0) {
        FileNames.requireUtf8Locale(argument);
        throw new UsageException(
            "argument \"" + argument + "\"",
            "text in UTF-8",
            "other bytes in it, or U+FFFD, which stands for such bytes",
            "pass another; rename the file if it is a name");
      }
    }
    Path here = Path.of("").toAbsolutePath();
    if (!Files.isDirectory(here)) {
      FileNames.requireUtf8Locale(here.toString());
      throw new EnvironmentException(
          "working directory " + here,
          "a folder that is there",
          "none: it was deleted, or its name is not UTF-8",
          "change to another");
    }
  }
}
