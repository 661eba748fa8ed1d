package dev.moxie.runtime.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Values as Python writes them. */
final class PythonText {
  /** Exponents of ten from which, and below which, a float is written with one. */
  private static final int LARGE = 16;

  private static final int SMALL = -4;

  private PythonText() {}

  /** {@code str(value)} */
  static String of(@Nullable Object value) {
    return switch (value) {
      case String text -> text;
      case Undefined undefined -> "";
      case null, default -> {
        var out = new StringBuilder();
        write(value, out);
        yield out.toString();
      }
    };
  }

  /** {@code repr(value)} */
  private static void write(@Nullable Object value, StringBuilder out) {
    Budget.requireSize(out.length());
    switch (value) {
      case null -> out.append("None");
      case Boolean flag -> out.append(flag ? "True" : "False");
      case Long whole -> out.append(whole);
      case BigInteger large -> out.append(large);
      case Double number -> out.append(number(number));
      case String text -> quote(text, out);
      case Undefined undefined -> out.append("Undefined");
      case Range range -> out.append(range);
      case Tuple tuple -> {
        out.append('(');
        writeAll(tuple, out);
        out.append(tuple.size() == 1 ? ",)" : ")");
      }
      case List<?> list -> {
        out.append('[');
        writeAll(list, out);
        out.append(']');
      }
      case Map<?, ?> map -> {
        String before = "{";
        for (Map.Entry<?, ?> entry : map.entrySet()) {
          out.append(before);
          write(entry.getKey(), out);
          out.append(": ");
          write(entry.getValue(), out);
          before = ", ";
        }
        out.append(map.isEmpty() ? "{}" : "}");
      }
      default -> throw new TemplateException(Values.type(value) + " has no text");
    }
  }

  private static void writeAll(List<?> items, StringBuilder out) {
    for (int i = 0; i < items.size(); i++) {
      out.append(i == 0 ? "" : ", ");
      write(items.get(i), out);
    }
  }

  /** The shortest digits that give the same number. */
  static String number(double number) {
    if (Double.isNaN(number)) {
      return "nan";
    }
    if (Double.isInfinite(number)) {
      return number > 0 ? "inf" : "-inf";
    }
    if (number == 0) {
      return 1 / number < 0 ? "-0.0" : "0.0";
    }
    BigDecimal digits = new BigDecimal(Double.toString(number)).stripTrailingZeros();
    int exponent = digits.precision() - digits.scale() - 1;
    if (exponent >= SMALL && exponent < LARGE) {
      String plain = digits.toPlainString();
      return plain.contains(".") ? plain : plain + ".0";
    }
    String unscaled = digits.unscaledValue().abs().toString();
    String fraction = unscaled.length() > 1 ? "." + unscaled.substring(1) : "";
    return "%s%s%se%s%02d"
        .formatted(
            number < 0 ? "-" : "",
            unscaled.charAt(0),
            fraction,
            exponent < 0 ? "-" : "+",
            Math.abs(exponent));
  }

  private static void quote(String text, StringBuilder out) {
    char quote = text.contains("'") && !text.contains("\"") ? '"' : '\'';
    out.append(quote);
    text.codePoints().forEach(c -> escape(out, c, quote));
    out.append(quote);
  }

  private static void escape(StringBuilder out, int c, char quote) {
    switch (c) {
      case '\\' -> out.append("\\\\");
      case '\n' -> out.append("\\n");
      case '\r' -> out.append("\\r");
      case '\t' -> out.append("\\t");
      default -> {
        if (c == quote) {
          out.append('\\').append(quote);
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa1) || c == 0xad) {
          out.append("\\x%02x".formatted(c));
        } else if (isPrintable(c)) {
          out.appendCodePoint(c);
        } else {
          out.append(c > 0xffff ? "\\U%08x".formatted(c) : "\\u%04x".formatted(c));
        }
      }
    }
  }

  private static boolean isPrintable(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      case Character.SPACE_SEPARATOR -> c == ' ';
      default -> true;
    };
  }

  /** {@code str.isspace} of one character. */
  static boolean isSpace(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  /** What is left without white space, or some characters, at the ends that are asked for. */
  static String stripped(String text, @Nullable String characters, boolean left, boolean right) {
    int from = 0;
    int to = text.length();
    while (left && from < to && goes(text.codePointAt(from), characters)) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && from < to && goes(text.codePointBefore(to), characters)) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(from, to);
  }

  private static boolean goes(int c, @Nullable String characters) {
    return characters == null ? isSpace(c) : characters.indexOf(c) >= 0;
  }

  /** {@code str.title}: letters after what is none are large, others small. */
  static String title(String text) {
    var out = new StringBuilder();
    boolean inside = false;
    for (int c : text.codePoints().toArray()) {
      out.appendCodePoint(inside ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inside = Character.isLetter(c);
    }
    return out.toString();
  }

  static String capitalised(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.codePointAt(0);
    return Character.toString(Character.toTitleCase(first))
        + text.substring(Character.charCount(first)).toLowerCase(java.util.Locale.ROOT);
  }
}
