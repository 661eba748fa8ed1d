package dev.moxie.format.text;

/**
 * Text of unknown origin, such as a tensor's name, as one line that is safe to print: what moves
 * the cursor, starts a line, turns the direction of writing or is no character is replaced by
 * U+FFFD, and so is the first character of what the runner of GitHub Actions would take for a
 * command: {@code ::} at the beginning, {@code ##[} anywhere. What is very long is cut.
 */
public final class Line {
  private static final int LONGEST = 2000;
  private static final char REPLACEMENT = '\uFFFD';

  private Line() {}

  /** The text, on one line. */
  public static String of(String text) {
    var line = new StringBuilder();
    int[] points = text.codePoints().limit(LONGEST + 1L).toArray();
    for (int i = 0; i < Math.min(points.length, LONGEST); i++) {
      line.appendCodePoint(isPrintable(points[i]) ? points[i] : REPLACEMENT);
    }
    if (line.toString().stripLeading().startsWith("::")) {
      line.setCharAt(line.indexOf("::"), REPLACEMENT);
    }
    String safe = line.toString().replace("##[", REPLACEMENT + "#[");
    return points.length > LONGEST ? safe + "…" : safe;
  }

  private static boolean isPrintable(int point) {
    return switch (Character.getType(point)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.SURROGATE,
          Character.UNASSIGNED ->
          false;
      default -> true;
    };
  }
}
