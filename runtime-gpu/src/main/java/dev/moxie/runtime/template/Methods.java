package dev.moxie.runtime.template;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntPredicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Methods of Python's strings and dictionaries; what changes a value is refused. */
final class Methods {
  private static final Map<String, Method<String>> TEXTS = texts();
  private static final Map<String, Method<Map<?, ?>>> MAPPINGS = mappings();
  private static final Map<String, Method<List<?>>> LISTS =
      Map.of(
          "count",
          (list, g, budget) ->
              list.stream()
                  .filter(item -> Values.equal(item, g.require(0, "value"), budget))
                  .count(),
          "index",
          (list, g, budget) -> {
            for (int i = 0; i < list.size(); i++) {
              if (Values.equal(list.get(i), g.require(0, "value"), budget)) {
                return (long) i;
              }
            }
            throw new TemplateException("the list has no such item");
          });

  /** All names, for templates to be held to when they are read. */
  static final Set<String> NAMES = names();

  private Methods() {}

  @FunctionalInterface
  private interface Method<T> {
    @Nullable Object call(T of, Given given, Budget budget);
  }

  private static Set<String> names() {
    Set<String> names = new TreeSet<>(TEXTS.keySet());
    names.addAll(MAPPINGS.keySet());
    names.addAll(LISTS.keySet());
    names.addAll(Set.of("cycle", "changed"));
    return names;
  }

  /** A method of a value, bound to it; null if it has none of that name. */
  static @Nullable Callable of(@Nullable Object value, String name, Budget budget) {
    return switch (value) {
      case String text -> bound(TEXTS.get(name), text, budget);
      case Map<?, ?> map -> bound(MAPPINGS.get(name), map, budget);
      case List<?> list -> bound(LISTS.get(name), list, budget);
      case null, default -> null;
    };
  }

  private static <T> @Nullable Callable bound(@Nullable Method<T> method, T of, Budget budget) {
    return method == null ? null : given -> method.call(of, given, budget);
  }

  private static Map<String, Method<Map<?, ?>>> mappings() {
    Map<String, Method<Map<?, ?>>> all = new HashMap<>();
    all.put("items", (map, g, budget) -> pairs(map));
    all.put("keys", (map, g, budget) -> Values.items(map));
    all.put("values", (map, g, budget) -> new ArrayList<@Nullable Object>(map.values()));
    all.put("copy", (map, g, budget) -> new LinkedHashMap<Object, @Nullable Object>(map));
    all.put(
        "get",
        (map, g, budget) -> {
          Object key = Values.key(g.only("key", "default").require(0, "key"));
          return map.containsKey(key) ? map.get(key) : g.get(1, "default", null);
        });
    return all;
  }

  static List<@Nullable Object> pairs(Map<?, ?> map) {
    List<@Nullable Object> pairs = new ArrayList<>();
    map.forEach((key, value) -> pairs.add(new Tuple(Arrays.asList(key, value))));
    return pairs;
  }

  private static Map<String, Method<String>> texts() {
    Map<String, Method<String>> all = new HashMap<>();
    all.put("strip", (t, g, b) -> PythonText.stripped(t, characters(g), true, true));
    all.put("lstrip", (t, g, b) -> PythonText.stripped(t, characters(g), true, false));
    all.put("rstrip", (t, g, b) -> PythonText.stripped(t, characters(g), false, true));
    all.put("upper", (t, g, b) -> t.toUpperCase(Locale.ROOT));
    all.put("lower", (t, g, b) -> t.toLowerCase(Locale.ROOT));
    all.put("title", (t, g, b) -> PythonText.title(t));
    all.put("capitalize", (t, g, b) -> PythonText.capitalised(t));
    all.put("startswith", (t, g, b) -> any(g, t::startsWith));
    all.put("endswith", (t, g, b) -> any(g, t::endsWith));
    all.put(
        "removeprefix", (t, g, b) -> t.startsWith(first(g)) ? t.substring(first(g).length()) : t);
    all.put(
        "removesuffix",
        (t, g, b) -> t.endsWith(first(g)) ? t.substring(0, t.length() - first(g).length()) : t);
    all.put("find", (t, g, b) -> place(t, t.indexOf(first(g.only("sub")))));
    all.put("rfind", (t, g, b) -> place(t, t.lastIndexOf(first(g.only("sub")))));
    all.put(
        "count",
        (t, g, b) -> {
          String sought = first(g.only("sub"));
          return sought.isEmpty()
              ? Values.length(t) + 1
              : (long) t.split(Pattern.quote(sought), -1).length - 1;
        });
    all.put("replace", (t, g, b) -> replaced(t, g, b));
    all.put("split", (t, g, b) -> split(t, g.only("sep", "maxsplit"), b));
    all.put("rsplit", (t, g, b) -> splitFromEnd(t, g.only("sep", "maxsplit"), b));
    all.put("splitlines", (t, g, b) -> lines(t, g.only("keepends")));
    all.put("partition", (t, g, b) -> parted(t, first(g), t.indexOf(first(g)), false));
    all.put("rpartition", (t, g, b) -> parted(t, first(g), t.lastIndexOf(first(g)), true));
    all.put(
        "join", (t, g, b) -> joined(t, Values.items(g.only("iterable").require(0, "iterable")), b));
    all.put("isdigit", (t, g, b) -> all(t, Character::isDigit));
    all.put("isalpha", (t, g, b) -> all(t, Character::isLetter));
    all.put("isalnum", (t, g, b) -> all(t, Character::isLetterOrDigit));
    all.put("isspace", (t, g, b) -> all(t, PythonText::isSpace));
    all.put("isupper", (t, g, b) -> Tests.named("upper").holds(t, Given.NOTHING, b));
    all.put("islower", (t, g, b) -> Tests.named("lower").holds(t, Given.NOTHING, b));
    return all;
  }

  private static String first(Given given) {
    return Values.text(given.require(0, "sub"));
  }

  private static @Nullable String characters(Given given) {
    Object characters = given.only("chars").get(0, "chars", null);
    return characters == null ? null : Values.text(characters);
  }

  private static boolean any(Given given, java.util.function.Predicate<String> holds) {
    Object one = given.only("prefix").require(0, "prefix");
    return one instanceof Tuple several
        ? several.stream().anyMatch(each -> holds.test(Values.text(each)))
        : holds.test(Values.text(one));
  }

  private static long place(String text, int at) {
    return at < 0 ? at : text.codePointCount(0, at);
  }

  private static boolean all(String text, IntPredicate holds) {
    return !text.isEmpty() && text.codePoints().allMatch(holds);
  }

  static String replaced(String text, Given given, Budget budget) {
    String old = Values.text(given.only("old", "new", "count").require(0, "old"));
    String other = Values.text(given.require(1, "new"));
    Object most = given.get(2, "count", null);
    long left = most == null || Values.whole(most) < 0 ? Long.MAX_VALUE : Values.whole(most);
    budget.make(
        text.length()
            + (long) other.length()
                * (old.isEmpty() ? text.length() + 1 : text.length() / old.length()));
    var out = new StringBuilder();
    int from = 0;
    while (left > 0) {
      int at = text.indexOf(old, from);
      if (at < 0) {
        break;
      }
      out.append(text, from, at).append(other);
      left--;
      from = at + old.length();
      if (old.isEmpty()) {
        if (at == text.length()) {
          return out.toString();
        }
        int next = text.offsetByCodePoints(at, 1);
        out.append(text, at, next);
        from = next;
      }
    }
    return out.append(text.substring(from)).toString();
  }

  private static long most(Given given) {
    Object most = given.get(1, "maxsplit", null);
    return most == null || Values.whole(most) < 0 ? Long.MAX_VALUE : Values.whole(most);
  }

  private static List<@Nullable Object> split(String text, Given given, Budget budget) {
    Object separator = given.get(0, "sep", null);
    long left = most(given);
    List<@Nullable Object> parts = new ArrayList<>();
    budget.make(text.length());
    if (separator == null) {
      String rest = PythonText.stripped(text, null, true, false);
      while (!rest.isEmpty()) {
        int end = 0;
        while (end < rest.length() && !PythonText.isSpace(rest.charAt(end))) {
          end++;
        }
        if (left-- == 0) {
          parts.add(rest);
          return parts;
        }
        parts.add(rest.substring(0, end));
        rest = PythonText.stripped(rest.substring(end), null, true, false);
      }
      return parts;
    }
    String by = separator(separator);
    int from = 0;
    for (int at = text.indexOf(by); at >= 0 && left > 0; at = text.indexOf(by, from), left--) {
      parts.add(text.substring(from, at));
      from = at + by.length();
    }
    parts.add(text.substring(from));
    return parts;
  }

  private static List<@Nullable Object> splitFromEnd(String text, Given given, Budget budget) {
    Object separator = given.get(0, "sep", null);
    if (separator == null) {
      if (most(given) < Long.MAX_VALUE) {
        throw new TemplateException("rsplit with a count needs a separator here");
      }
      return split(text, given, budget);
    }
    String by = separator(separator);
    long left = most(given);
    List<@Nullable Object> parts = new ArrayList<>();
    budget.make(text.length());
    String rest = text;
    for (int at = rest.lastIndexOf(by); at >= 0 && left > 0; at = rest.lastIndexOf(by), left--) {
      parts.addFirst(rest.substring(at + by.length()));
      rest = rest.substring(0, at);
    }
    parts.addFirst(rest);
    return parts;
  }

  private static String separator(@Nullable Object separator) {
    String by = Values.text(separator);
    if (by.isEmpty()) {
      throw new TemplateException("a separator is not empty");
    }
    return by;
  }

  private static List<@Nullable Object> lines(String text, Given given) {
    boolean keep = Values.truth(given.get(0, "keepends", false));
    List<@Nullable Object> lines = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < text.length(); i++) {
      if ("\n\r\u000b\f\u001c\u001d\u001e\u0085\u2028\u2029".indexOf(text.charAt(i)) >= 0) {
        int end = i;
        i += text.charAt(i) == '\r' && i + 1 < text.length() && text.charAt(i + 1) == '\n' ? 1 : 0;
        lines.add(text.substring(from, keep ? i + 1 : end));
        from = i + 1;
      }
    }
    if (from < text.length()) {
      lines.add(text.substring(from));
    }
    return lines;
  }

  private static Tuple parted(String text, String by, int at, boolean fromEnd) {
    if (at < 0) {
      return new Tuple(fromEnd ? List.of("", "", text) : List.of(text, "", ""));
    }
    return new Tuple(List.of(text.substring(0, at), by, text.substring(at + by.length())));
  }

  private static String joined(String by, List<@Nullable Object> items, Budget budget) {
    String text = items.stream().map(Values::text).collect(Collectors.joining(by));
    budget.make(text.length());
    return text;
  }
}
