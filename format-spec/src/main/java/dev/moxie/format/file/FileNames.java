package dev.moxie.format.file;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** File names between the system, to which they are bytes, and Java, to which they are text. */
public final class FileNames {
  private FileNames() {}

  /**
   * The text of a path that the system gave, which leads to the same file again.
   *
   * @throws UnsupportedException if there is none, since the name is not UTF-8
   * @throws EnvironmentException if there may be one, but not in this locale
   */
  public static String of(Path path) {
    String text = path.toString();
    if (!leadsTo(text, path)) {
      requireUtf8Locale(text);
      throw new UnsupportedException(
          text, "a file name in UTF-8", "other bytes in it", "rename the file");
    }
    return text;
  }

  private static boolean leadsTo(String text, Path path) {
    try {
      return Path.of(text).equals(path);
    } catch (InvalidPathException e) {
      return false;
    }
  }

  /**
   * Makes sure that it is not for the locale that a name cannot be understood.
   *
   * @param name for the message
   * @throws EnvironmentException if names are not UTF-8 in this locale
   */
  public static void requireUtf8Locale(String name) {
    String encoding = System.getProperty("sun.jnu.encoding", "UTF-8");
    if (!Charset.isSupported(encoding)
        || !Charset.forName(encoding).equals(StandardCharsets.UTF_8)) {
      throw new EnvironmentException(
          name,
          "a locale in which file names and arguments are UTF-8",
          "one in which they are " + encoding,
          "set LC_ALL=C.UTF-8 and run the command again");
    }
  }
}
