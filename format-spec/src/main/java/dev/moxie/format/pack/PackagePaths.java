package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;

/** The names of a package's own files, and the rule for every path that a package states. */
public final class PackagePaths {
  public static final String MANIFEST = "moxie.json";
  public static final String INDEX = "tensors.arrow";

  /** Folder of the files taken over from the checkpoint. */
  public static final String SOURCE = "source/";

  /** By the bytes of UTF-8, which is by code points: the order of every list in a manifest. */
  public static final Comparator<String> ORDER =
      (a, b) ->
          Arrays.compareUnsigned(
              a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8));

  private PackagePaths() {}

  /** Where the header of a weight file of the checkpoint is kept. */
  public static String headerOf(String weightFile) {
    return SOURCE + weightFile + ".header";
  }

  private static boolean isForbidden(int c) {
    return c < ' '
        || c == '\\'
        || c == ':'
        || c == 0x7f
        || (c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE);
  }

  /**
   * A path stated inside a package must stay inside it: relative, '/' between segments, no segment
   * empty, '.' or '..', no backslash, colon control character or half of a surrogate pair.
   *
   * @return {@code path}
   * @throws CorruptException otherwise
   */
  public static String require(String where, String path) {
    if (!isClean(path)) {
      throw new CorruptException(
          where,
          "a relative path that stays inside its folder",
          "\"" + path + "\"",
          "do not use these files, they may have been made to reach elsewhere");
    }
    return path;
  }

  /**
   * Whether a name of a file that was left behind, perhaps for its name, stays inside its folder.
   */
  static boolean staysInside(String name) {
    return Arrays.stream(name.split("/", -1)).noneMatch(s -> s.isEmpty() || s.equals("."))
        && Arrays.stream(name.split("[/\\\\]", -1)).noneMatch(s -> s.equals(".."));
  }

  /** Whether a package may state this path. */
  public static boolean isClean(String path) {
    boolean clean =
        !path.isEmpty()
            && path.codePointCount(0, path.length()) <= 1024
            && path.codePoints().noneMatch(PackagePaths::isForbidden);
    for (String segment : path.split("/", -1)) {
      clean &= !segment.isEmpty() && !segment.equals(".") && !segment.equals("..");
    }
    return clean;
  }
}
