package dev.moxie.format.tokenizer;

import dev.moxie.format.error.UnsupportedException;
import java.util.regex.Pattern;

/**
 * Regular expressions that a backtracking engine matches in steps proportional to the text, and
 * that match no empty text: a tokenizer library gives up on others, and the process with it. The
 * language is the one in which released tokenizers are written.
 *
 * <pre>
 * pattern   = branch {"|" branch}
 * branch    = {item}
 * item      = atom [("?" | "*" | "+") ["?" | "+"] | "{" m ["," [n]] "}"] | group ["?"] | assertion
 * atom      = character | "." | escape | class
 * group     = ("(" | "(?:" | "(?i:") pattern without repeats ")"
 * assertion = "^" | "$" | "\\b" | "\\B" | ("(?=" | "(?!") pattern without repeats ")"
 * </pre>
 *
 * <p>An engine that fails tries again where it had a choice. A repeated atom is a choice among as
 * many ways as there are characters, so where two have been, only what cannot fail may follow; the
 * other choices of a branch multiply, to {@value #MOST_CHOICES} at most.
 */
final class PatternRule {
  private static final int MOST_CHARACTERS = 1 << 16;
  private static final int MOST_CHOICES = 64;
  private static final int MOST_COPIES = 1000;
  private static final int MOST_DEPTH = 8;

  /** What a backslash may stand before, besides p, P, x and u and what is no letter or digit. */
  private static final String ESCAPES = "sSdDwWhHrntfvae";

  private static final Pattern INTERVAL = Pattern.compile("\\{(\\d+(,\\d*)?|,\\d+)\\}");

  private final String where;
  private final String pattern;
  private int at;

  private PatternRule(String where, String pattern) {
    this.where = where;
    this.pattern = pattern;
  }

  /**
   * Checks a pattern.
   *
   * @throws UnsupportedException if it is none of this language
   */
  static void check(String where, String pattern) {
    var rule = new PatternRule(where, pattern);
    if (pattern.length() > MOST_CHARACTERS) {
      throw new UnsupportedException(
          where,
          "a pattern of at most " + MOST_CHARACTERS + " characters",
          pattern.length() + " of them",
          TokenizerFile.REMEDY);
    }
    Item whole = rule.branches(0);
    if (rule.at < pattern.length()) {
      throw rule.refused("balanced parentheses");
    }
    if (whole.empty) {
      throw rule.refused("no way to match nothing");
    }
  }

  /**
   * A part of a pattern, in the worst case.
   *
   * @param empty whether it may match no text
   * @param fails whether it may match not at all
   * @param repeats whether it is a repeated atom
   * @param choices ways to match, repeats aside
   */
  private record Item(boolean empty, boolean fails, boolean repeats, int choices) {
    static final Item ATOM = new Item(false, true, false, 1);
    static final Item ASSERTION = new Item(true, true, false, 1);

    Item optional() {
      return new Item(true, false, repeats, choices + 1);
    }

    Item repeated(boolean optional) {
      return new Item(optional, !optional, true, choices);
    }
  }

  private Item branches(int depth) {
    if (depth > MOST_DEPTH) {
      throw refused("groups less deep");
    }
    Item all = branch(depth);
    while (take("|")) {
      Item next = branch(depth);
      all = new Item(all.empty || next.empty, true, false, all.choices + next.choices);
    }
    return all;
  }

  private Item branch(int depth) {
    boolean empty = true;
    int repeats = 0;
    int choices = 1;
    while (at < pattern.length() && !next("|") && !next(")")) {
      Item item = item(depth);
      if (item.repeats && depth > 0) {
        throw refused("no repeats in groups");
      }
      if (item.fails && repeats > 1) {
        throw refused("nothing that may fail after two repeats");
      }
      choices *= item.choices;
      if (choices > MOST_CHOICES) {
        throw refused("fewer choices");
      }
      repeats += item.repeats ? 1 : 0;
      empty &= item.empty;
    }
    return new Item(empty, true, false, choices);
  }

  private Item item(int depth) {
    for (String lookahead : new String[] {"(?=", "(?!"}) {
      if (take(lookahead)) {
        closed(branches(depth + 1));
        return Item.ASSERTION;
      }
    }
    for (String group : new String[] {"(?:", "(?i:", "("}) {
      if (!next("(?") || !group.equals("(")) {
        if (take(group)) {
          Item inside = closed(branches(depth + 1));
          return unrepeated(take("?") ? inside.optional() : inside);
        }
      }
    }
    for (String assertion : new String[] {"^", "$", "\\b", "\\B"}) {
      if (take(assertion)) {
        return unrepeated(Item.ASSERTION);
      }
    }
    atom();
    return unrepeated(quantified());
  }

  private Item closed(Item inside) {
    if (!take(")")) {
      throw refused("balanced parentheses");
    }
    return inside;
  }

  private Item unrepeated(Item item) {
    if (next("?") || next("*") || next("+") || isInterval()) {
      throw refused("atoms alone repeated, and once");
    }
    return item;
  }

  private Item quantified() {
    Item item = Item.ATOM;
    if (take("?")) {
      item = item.optional();
    } else if (take("*")) {
      item = item.repeated(true);
    } else if (take("+")) {
      item = item.repeated(false);
    } else if (isInterval()) {
      return interval();
    } else {
      return item;
    }
    if (!take("?")) {
      take("+");
    }
    return item;
  }

  private boolean isInterval() {
    return INTERVAL.matcher(pattern).region(at, pattern.length()).lookingAt();
  }

  private Item interval() {
    int end = pattern.indexOf('}', at);
    String[] limits = pattern.substring(at + 1, end).split(",", -1);
    at = end + 1;
    for (String limit : limits) {
      if (limit.length() > 4 || (!limit.isEmpty() && Integer.parseInt(limit) > MOST_COPIES)) {
        throw refused("at most " + MOST_COPIES + " copies");
      }
    }
    boolean optional = limits[0].isEmpty() || Integer.parseInt(limits[0]) == 0;
    return Item.ATOM.repeated(optional);
  }

  private void atom() {
    if (take("[")) {
      characterClass(0);
    } else if (next("\\")) {
      escape();
    } else if (next("*") || next("+") || next("?") || next("(")) {
      throw refused("groups, looks ahead and atoms alone");
    } else {
      at += Character.charCount(pattern.codePointAt(at));
    }
  }

  private void characterClass(int depth) {
    take("^");
    if (next("]") || depth > MOST_DEPTH) {
      throw refused("classes of some characters");
    }
    while (!take("]")) {
      if (at == pattern.length()) {
        throw refused("balanced brackets");
      }
      if (take("[:")) {
        at = pattern.indexOf(":]", at);
        if (at < 0) {
          at = pattern.length();
          throw refused("balanced brackets");
        }
        at += 2;
      } else if (take("[")) {
        characterClass(depth + 1);
      } else if (next("\\")) {
        escape();
      } else {
        at += Character.charCount(pattern.codePointAt(at));
      }
    }
  }

  private void escape() {
    at++;
    if (at == pattern.length()) {
      throw refused("something after a backslash");
    }
    int escaped = pattern.codePointAt(at);
    at += Character.charCount(escaped);
    if ("pPx".indexOf(escaped) >= 0 && take("{")) {
      at = pattern.indexOf('}', at) + 1;
      if (at == 0) {
        at = pattern.length();
        throw refused("balanced braces");
      }
    } else if (Character.isLetterOrDigit(escaped)
        && "pPxu".indexOf(escaped) < 0
        && ESCAPES.indexOf(escaped) < 0) {
      throw refused("no back references or the like");
    }
  }

  private boolean next(String text) {
    return pattern.startsWith(text, at);
  }

  private boolean take(String text) {
    boolean found = next(text);
    at += found ? text.length() : 0;
    return found;
  }

  private UnsupportedException refused(String expected) {
    return new UnsupportedException(
        where,
        "a pattern with " + expected,
        "\"" + pattern + "\" (at " + at + ")",
        TokenizerFile.REMEDY);
  }
}
