package dev.moxie.runtime.template;

/** What a backslash in a string of Python stands for; where it is none's, for itself. */
final class Escapes {
  private static final String LETTERS = "abfnrtv\\'\"";
  private static final String MEANT = "\u0007\b\f\n\r\t\u000b\\'\"";

  private Escapes() {}

  static String read(String written) {
    var text = new StringBuilder();
    for (int i = 0; i < written.length(); i++) {
      char c = written.charAt(i);
      if (c != '\\' || i + 1 == written.length()) {
        text.append(c);
        continue;
      }
      char next = written.charAt(++i);
      int digits = next == 'x' ? 2 : next == 'u' ? 4 : next == 'U' ? 8 : 0;
      int letter = LETTERS.indexOf(next);
      int octal = octalDigits(written, i);
      if (octal > 0) {
        text.append((char) Integer.parseInt(written, i, i + octal, 8));
        i += octal - 1;
      } else if (digits > 0 && i + digits < written.length() && isHex(written, i + 1, digits)) {
        text.appendCodePoint(Integer.parseInt(written, i + 1, i + 1 + digits, 16));
        i += digits;
      } else if (letter >= 0) {
        text.append(MEANT.charAt(letter));
      } else if (next != '\n') {
        text.append('\\').append(next);
      }
    }
    return text.toString();
  }

  /** At most three. */
  private static int octalDigits(String written, int from) {
    int count = 0;
    while (count < 3
        && from + count < written.length()
        && Character.digit(written.charAt(from + count), 8) >= 0) {
      count++;
    }
    return count;
  }

  private static boolean isHex(String text, int from, int count) {
    for (int i = from; i < from + count; i++) {
      if (Character.digit(text.charAt(i), 16) < 0) {
        return false;
      }
    }
    return count < 8 || Long.parseLong(text, from, from + count, 16) <= Character.MAX_CODE_POINT;
  }
}
