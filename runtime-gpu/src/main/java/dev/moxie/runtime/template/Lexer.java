package dev.moxie.runtime.template;

import dev.moxie.format.error.CorruptException;
import dev.moxie.runtime.template.Token.Kind;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Cuts a template into tokens, with the white space that {@code trim_blocks}, {@code lstrip_blocks}
 * and the signs of tags leave (jinja2 {@code lexer.py}).
 */
final class Lexer {
  private static final Pattern TAG = Pattern.compile("\\{\\{|\\{%|\\{#");
  private static final Pattern RAW = Pattern.compile("\\{%([-+]?)\\s*raw\\s*(-?)%\\}");
  private static final Pattern END_RAW = Pattern.compile("\\{%([-+]?)\\s*endraw\\s*([-+]?)%\\}");
  private static final Pattern FLOAT =
      Pattern.compile("\\d+(_\\d+)*(\\.\\d+(_\\d+)*)?([eE][-+]?\\d+)?");
  private static final Pattern NAME = Pattern.compile("[\\p{L}_][\\p{L}\\p{N}_]*");
  private static final List<String> OPERATORS =
      List.of(
          "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ",",
          ":", "|", "(", ")", "[", "]", "{", "}");

  private final String where;
  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int at;
  private int line = 1;

  /** Whether what follows begins a line. */
  private boolean lineStarts = true;

  private Lexer(String where, String source) {
    this.where = where;
    this.source = source;
  }

  /**
   * All tokens, END last.
   *
   * @throws CorruptException if something is not closed, or no token
   */
  static List<Token> tokens(String where, String text) {
    String source = text.replace("\r\n", "\n").replace('\r', '\n');
    if (source.endsWith("\n")) {
      source = source.substring(0, source.length() - 1);
    }
    var lexer = new Lexer(where, source);
    lexer.all();
    return lexer.tokens;
  }

  private void all() {
    Matcher tag = TAG.matcher(source);
    while (at < source.length()) {
      boolean found = tag.find(at);
      int begin = found ? tag.start() : source.length();
      if (!found) {
        data(source.substring(at));
        at = begin;
        break;
      }
      char kind = source.charAt(begin + 1);
      Matcher raw = RAW.matcher(source).region(begin, source.length());
      boolean isRaw = kind == '%' && raw.lookingAt();
      char sign = begin + 2 < source.length() ? source.charAt(begin + 2) : ' ';
      boolean signed = sign == '-' || sign == '+';
      data(before(source.substring(at, begin), signed ? sign : ' ', kind != '{'));
      if (isRaw) {
        raw(raw);
      } else if (kind == '#') {
        comment(begin + 2);
      } else {
        advance(begin + (signed ? 3 : 2));
        inside(kind == '{' ? "}}" : "%}", kind == '{');
      }
      lineStarts = at > 0 && source.charAt(at - 1) == '\n';
    }
    add(Kind.END, "the end");
  }

  /** Text before a tag, without what the tag takes away. */
  private String before(String text, char sign, boolean statement) {
    if (sign == '-') {
      return text.stripTrailing();
    }
    if (sign != '+' && statement) {
      int start = text.lastIndexOf('\n') + 1;
      if ((start > 0 || lineStarts) && text.substring(start).isBlank()) {
        return text.substring(0, start);
      }
    }
    return text;
  }

  private void data(String text) {
    if (!text.isEmpty()) {
      add(Kind.DATA, text);
    }
  }

  private void add(Kind kind, String text) {
    tokens.add(new Token(kind, text, line));
  }

  private void advance(int to) {
    for (; at < to; at++) {
      if (source.charAt(at) == '\n') {
        line++;
      }
    }
  }

  /** Goes past what ends a tag, and past the white space that it takes away. */
  private void pastEnd(int end, char sign, boolean statement) {
    int to = end;
    if (sign == '-') {
      while (to < source.length() && Character.isWhitespace(source.charAt(to))) {
        to++;
      }
    } else if (sign != '+' && statement && to < source.length() && source.charAt(to) == '\n') {
      to++;
    }
    advance(to);
  }

  private void raw(Matcher begin) {
    pastEnd(begin.end(), begin.group(2).isEmpty() ? '+' : '-', true);
    Matcher end = END_RAW.matcher(source);
    if (!end.find(at)) {
      throw wrong("{% endraw %}", "the end");
    }
    String sign = end.group(1);
    lineStarts = at > 0 && source.charAt(at - 1) == '\n';
    data(before(source.substring(at, end.start()), sign.isEmpty() ? ' ' : sign.charAt(0), true));
    String last = end.group(2);
    pastEnd(end.end(), last.isEmpty() ? ' ' : last.charAt(0), true);
  }

  private void comment(int from) {
    int end = source.indexOf("#}", from);
    if (end < 0) {
      throw wrong("#}", "the end");
    }
    pastEnd(end + 2, end > from ? source.charAt(end - 1) : ' ', true);
  }

  private void inside(String close, boolean value) {
    add(value ? Kind.BEGIN_VALUE : Kind.BEGIN_STATEMENT, value ? "{{" : "{%");
    Deque<Character> open = new ArrayDeque<>();
    while (true) {
      while (at < source.length() && Character.isWhitespace(source.charAt(at))) {
        advance(at + 1);
      }
      if (at == source.length()) {
        throw wrong(close, "the end");
      }
      char next = source.charAt(at);
      boolean signed = next == '-' || (next == '+' && !value);
      if (open.isEmpty() && source.startsWith(close, signed ? at + 1 : at)) {
        add(value ? Kind.END_VALUE : Kind.END_STATEMENT, close);
        pastEnd(at + close.length() + (signed ? 1 : 0), signed ? next : ' ', !value);
        return;
      }
      token(next, open);
    }
  }

  private void token(char next, Deque<Character> open) {
    if (next == '"' || next == '\'') {
      string(next);
      return;
    }
    Matcher number = FLOAT.matcher(source).region(at, source.length());
    if (number.lookingAt()) {
      boolean whole = number.group(2) == null && number.group(4) == null;
      add(whole ? Kind.INTEGER : Kind.FLOAT, number.group().replace("_", ""));
      advance(number.end());
      return;
    }
    Matcher name = NAME.matcher(source).region(at, source.length());
    if (name.lookingAt()) {
      add(Kind.NAME, name.group());
      advance(name.end());
      return;
    }
    for (String operator : OPERATORS) {
      if (source.startsWith(operator, at)) {
        balance(operator, open);
        add(Kind.OPERATOR, operator);
        advance(at + operator.length());
        return;
      }
    }
    throw wrong("an expression", "\"" + next + "\"");
  }

  private void balance(String operator, Deque<Character> open) {
    int closes = ")]}".indexOf(operator);
    if ("([{".contains(operator)) {
      open.push(operator.charAt(0));
    } else if (closes >= 0) {
      if (open.isEmpty() || open.pop() != "([{".charAt(closes)) {
        throw wrong("a bracket that was opened", "\"" + operator + "\"");
      }
    }
  }

  private void string(char quote) {
    int end = at + 1;
    while (end < source.length() && source.charAt(end) != quote) {
      end += source.charAt(end) == '\\' ? 2 : 1;
    }
    if (end >= source.length()) {
      throw wrong("a string that ends", "the end");
    }
    add(Kind.STRING, Escapes.read(source.substring(at + 1, end)));
    advance(end + 1);
  }

  private CorruptException wrong(String expected, String found) {
    return new CorruptException(
        where + ", line " + line,
        expected,
        found,
        "write it in another way and pass that as --chat-template, or none");
  }
}
