package dev.moxie.runtime.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What may stand after {@code |} (jinja2 {@code filters.py}, and transformers' tojson). */
final class Filters {
  static final Map<String, Filter> ALL = all();

  private Filters() {}

  /** One that a template was read with. */
  static Filter named(String name) {
    return Objects.requireNonNull(ALL.get(name));
  }

  /** What becomes of a value. */
  @FunctionalInterface
  interface Filter {
    @Nullable Object apply(Interpreter within, @Nullable Object value, Given given);
  }

  private static Map<String, Filter> all() {
    Map<String, Filter> all = new HashMap<>();
    all.put("trim", (in, v, g) -> PythonText.stripped(PythonText.of(v), chars(g), true, true));
    all.put("upper", (in, v, g) -> PythonText.of(v).toUpperCase(Locale.ROOT));
    all.put("lower", (in, v, g) -> PythonText.of(v).toLowerCase(Locale.ROOT));
    all.put("title", (in, v, g) -> title(PythonText.of(v)));
    all.put("capitalize", (in, v, g) -> PythonText.capitalised(PythonText.of(v)));
    all.put("string", (in, v, g) -> PythonText.of(v));
    all.put("safe", (in, v, g) -> PythonText.of(v));
    all.put("length", (in, v, g) -> Values.length(v));
    all.put("count", (in, v, g) -> Values.length(v));
    all.put("list", (in, v, g) -> Values.items(v));
    all.put("first", (in, v, g) -> end(v, true));
    all.put("last", (in, v, g) -> end(v, false));
    all.put("default", Filters::otherwise);
    all.put("d", Filters::otherwise);
    all.put("join", Filters::join);
    all.put("replace", (in, v, g) -> Methods.replaced(PythonText.of(v), g, in.budget()));
    all.put("items", (in, v, g) -> pairs(v));
    all.put("dictsort", Filters::sortedPairs);
    all.put("map", Filters::map);
    all.put("select", (in, v, g) -> select(in, v, g, false, true));
    all.put("reject", (in, v, g) -> select(in, v, g, false, false));
    all.put("selectattr", (in, v, g) -> select(in, v, g, true, true));
    all.put("rejectattr", (in, v, g) -> select(in, v, g, true, false));
    all.put("unique", Filters::unique);
    all.put("sort", Filters::sort);
    all.put("reverse", (in, v, g) -> reversed(v));
    all.put("sum", Filters::sum);
    all.put("min", (in, v, g) -> extreme(in, v, 1));
    all.put("max", (in, v, g) -> extreme(in, v, -1));
    all.put("int", (in, v, g) -> whole(v, g));
    all.put("float", (in, v, g) -> number(v, g));
    all.put("abs", (in, v, g) -> absolute(v));
    all.put("round", (in, v, g) -> round(v, g.only("precision", "method")));
    all.put("indent", (in, v, g) -> indented(v, g.only("width", "first", "blank")));
    all.put("tojson", Filters::json);
    return Map.copyOf(all);
  }

  private static @Nullable String chars(Given given) {
    Object chars = given.only("chars").get(0, "chars", null);
    return chars == null ? null : Values.text(chars);
  }

  /** Each word after white space or a bracket, unlike the method of that name. */
  private static String title(String text) {
    var out = new StringBuilder();
    boolean begins = true;
    for (int c : text.codePoints().toArray()) {
      out.appendCodePoint(begins ? Character.toUpperCase(c) : Character.toLowerCase(c));
      begins = PythonText.isSpace(c) || "-([{<".indexOf(c) >= 0;
    }
    return out.toString();
  }

  private static @Nullable Object end(@Nullable Object value, boolean first) {
    List<@Nullable Object> items = Values.items(value);
    if (items.isEmpty()) {
      return new Undefined("an item of an empty list");
    }
    return first ? items.getFirst() : items.getLast();
  }

  private static @Nullable Object otherwise(Interpreter in, @Nullable Object value, Given given) {
    boolean wanted = Values.truth(given.only("default_value", "boolean").get(1, "boolean", false));
    return value instanceof Undefined || (wanted && !Values.truth(value))
        ? given.get(0, "default_value", "")
        : value;
  }

  private static Object join(Interpreter in, @Nullable Object value, Given given) {
    String by = PythonText.of(given.only("d", "attribute").get(0, "d", ""));
    Object attribute = given.get(1, "attribute", null);
    var out = new StringBuilder();
    boolean first = true;
    for (Object item : Values.items(value)) {
      out.append(first ? "" : by)
          .append(PythonText.of(attribute == null ? item : in.path(item, attribute)));
      first = false;
      in.budget().step();
    }
    in.budget().make(out.length());
    return out.toString();
  }

  private static List<@Nullable Object> pairs(@Nullable Object value) {
    if (value instanceof Undefined) {
      return new ArrayList<>();
    }
    if (value instanceof Map<?, ?> map) {
      return Methods.pairs(map);
    }
    throw new TemplateException(Values.type(value) + " is no mapping");
  }

  private static List<@Nullable Object> sortedPairs(
      Interpreter in, @Nullable Object value, Given given) {
    given.only("case_sensitive", "by", "reverse");
    List<@Nullable Object> pairs = pairs(value);
    boolean exact = Values.truth(given.get(0, "case_sensitive", false));
    int by = "value".equals(given.get(1, "by", "key")) ? 1 : 0;
    Comparator<@Nullable Object> order =
        (a, b) ->
            Values.order(
                folded(((Tuple) a).get(by), exact),
                folded(((Tuple) b).get(by), exact),
                in.budget());
    pairs.sort(Values.truth(given.get(2, "reverse", false)) ? order.reversed() : order);
    return pairs;
  }

  private static @Nullable Object folded(@Nullable Object value, boolean exact) {
    return value instanceof String text && !exact ? text.toLowerCase(Locale.ROOT) : value;
  }

  private static Object map(Interpreter in, @Nullable Object value, Given given) {
    List<@Nullable Object> all = new ArrayList<>();
    Object attribute = given.named().get("attribute");
    if (attribute != null) {
      Given only = given.only("attribute", "default");
      if (!only.positional().isEmpty()) {
        throw new TemplateException("map takes an attribute or a filter");
      }
      for (Object item : Values.items(value)) {
        Object part = in.path(item, attribute);
        boolean missing = part instanceof Undefined && given.named().containsKey("default");
        all.add(missing ? given.named().get("default") : part);
      }
      return all;
    }
    Filter filter = ALL.get(Values.text(given.require(0, "filter")));
    if (filter == null) {
      throw new TemplateException("there is no filter " + given.positional().getFirst());
    }
    for (Object item : Values.items(value)) {
      in.budget().step();
      all.add(filter.apply(in, item, given.rest()));
    }
    return all;
  }

  private static Object select(
      Interpreter in, @Nullable Object value, Given given, boolean attribute, boolean kept) {
    Object path = attribute ? given.require(0, "attribute") : null;
    Given test = attribute ? given.rest() : given;
    Tests.Test holds = (item, none, budget) -> Values.truth(item);
    if (!test.positional().isEmpty()) {
      String name = Values.text(test.positional().getFirst());
      if (!Tests.ALL.containsKey(name)) {
        throw new TemplateException("there is no test " + name);
      }
      holds = Tests.ALL.get(name);
      test = test.rest();
    }
    List<@Nullable Object> selected = new ArrayList<>();
    for (Object item : Values.items(value)) {
      in.budget().step();
      if (holds.holds(path == null ? item : in.path(item, path), test, in.budget()) == kept) {
        selected.add(item);
      }
    }
    return selected;
  }

  private static Object unique(Interpreter in, @Nullable Object value, Given given) {
    boolean exact =
        Values.truth(given.only("case_sensitive", "attribute").get(0, "case_sensitive", false));
    Object attribute = given.get(1, "attribute", null);
    List<@Nullable Object> seen = new ArrayList<>();
    List<@Nullable Object> unique = new ArrayList<>();
    for (Object item : Values.items(value)) {
      Object key = folded(attribute == null ? item : in.path(item, attribute), exact);
      in.budget().step();
      requireKey(key);
      if (!Values.contains(seen, key, in.budget())) {
        seen.add(key);
        unique.add(item);
      }
    }
    return unique;
  }

  /** Python tells values apart by their hash, which what can change has not. */
  private static void requireKey(@Nullable Object value) {
    if (value instanceof Tuple tuple) {
      tuple.forEach(Filters::requireKey);
    } else if (value instanceof Map<?, ?>
        || (value instanceof List<?> && !(value instanceof Range))) {
      throw new TemplateException(Values.type(value) + " cannot be told apart from others");
    }
  }

  private static Object sort(Interpreter in, @Nullable Object value, Given given) {
    boolean reverse =
        Values.truth(given.only("reverse", "case_sensitive", "attribute").get(0, "reverse", false));
    boolean exact = Values.truth(given.get(1, "case_sensitive", false));
    Object attribute = given.get(2, "attribute", null);
    Comparator<@Nullable Object> order =
        (a, b) ->
            Values.order(
                folded(attribute == null ? a : in.path(a, attribute), exact),
                folded(attribute == null ? b : in.path(b, attribute), exact),
                in.budget());
    List<@Nullable Object> sorted = Values.items(value);
    sorted.sort(reverse ? order.reversed() : order);
    return sorted;
  }

  private static Object reversed(@Nullable Object value) {
    if (value instanceof String text) {
      return new StringBuilder(text).reverse().toString();
    }
    List<@Nullable Object> items = Values.items(value);
    Collections.reverse(items);
    return items;
  }

  private static @Nullable Object sum(Interpreter in, @Nullable Object value, Given given) {
    Object attribute = given.only("attribute", "start").get(0, "attribute", null);
    Object sum = given.get(1, "start", 0L);
    for (Object item : Values.items(value)) {
      sum =
          Values.compute(
              "+", sum, attribute == null ? item : in.path(item, attribute), in.budget());
    }
    return sum;
  }

  private static @Nullable Object extreme(Interpreter in, @Nullable Object value, int sign) {
    List<@Nullable Object> items = Values.items(value);
    if (items.isEmpty()) {
      return new Undefined("an item of an empty list");
    }
    return Collections.min(
        items, (a, b) -> sign * Values.order(folded(a, false), folded(b, false), in.budget()));
  }

  private static @Nullable Object whole(@Nullable Object value, Given given) {
    Object number = Values.numeric(value);
    if (number instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (number instanceof Long || number instanceof BigInteger) {
      return number;
    }
    if (number instanceof Double fraction && Math.abs(fraction) >= 1e18) {
      throw new TemplateException("int of a number that is too large");
    }
    if (given.has(1, "base")) {
      throw new TemplateException("int with a base");
    }
    if (number instanceof Double fraction && !fraction.isNaN()) {
      return (long) (double) fraction;
    }
    Object otherwise = given.only("default", "base").get(0, "default", 0L);
    try {
      String text = value instanceof String t ? t.strip().replace("_", "") : "";
      return text.matches("[-+]?\\d+")
          ? (Object) Long.parseLong(text)
          : text.isEmpty() ? otherwise : (long) Double.parseDouble(text);
    } catch (NumberFormatException e) {
      return otherwise;
    }
  }

  private static @Nullable Object number(@Nullable Object value, Given given) {
    Object number = Values.numeric(value);
    if (number instanceof Number n) {
      return n.doubleValue();
    }
    if (number instanceof Undefined undefined) {
      throw undefined.error();
    }
    Object otherwise = given.only("default").get(0, "default", 0.0);
    try {
      return value instanceof String text ? (Object) Double.parseDouble(text.strip()) : otherwise;
    } catch (NumberFormatException e) {
      return otherwise;
    }
  }

  private static Object absolute(@Nullable Object value) {
    return switch (Values.numeric(value)) {
      case Long whole -> Math.abs(whole);
      case Double number -> Math.abs(number);
      case null, default -> throw new TemplateException(Values.type(value) + " is no number");
    };
  }

  private static Object round(@Nullable Object value, Given given) {
    if (!(Values.numeric(value) instanceof Number number)) {
      throw new TemplateException(Values.type(value) + " is no number");
    }
    int precision = Math.clamp(Values.whole(given.get(0, "precision", 0L)), -300, 300);
    String method = Values.text(given.get(1, "method", "common"));
    if (number instanceof Long && method.equals("common")) {
      return number;
    }
    RoundingMode mode =
        switch (method) {
          case "common" -> RoundingMode.HALF_EVEN;
          case "ceil" -> RoundingMode.CEILING;
          case "floor" -> RoundingMode.FLOOR;
          default -> throw new TemplateException("round takes common, ceil or floor");
        };
    double of = number.doubleValue();
    return Double.isFinite(of) ? new BigDecimal(of).setScale(precision, mode).doubleValue() : of;
  }

  private static Object indented(@Nullable Object value, Given given) {
    Object width = given.get(0, "width", 4L);
    String by =
        width instanceof String text ? text : " ".repeat(Math.clamp(Values.whole(width), 0, 1000));
    boolean first = Values.truth(given.get(1, "first", false));
    boolean blank = Values.truth(given.get(2, "blank", false));
    String[] lines = (Values.text(value) + "\n").split("\n", -1);
    var out = new StringBuilder();
    for (int i = 0; i < lines.length - 1; i++) {
      boolean indent = i == 0 ? first : blank || !lines[i].isEmpty();
      out.append(i == 0 ? "" : "\n").append(indent ? by : "").append(lines[i]);
    }
    return out.toString();
  }

  private static Object json(Interpreter in, @Nullable Object value, Given given) {
    given.only("ensure_ascii", "indent", "separators", "sort_keys");
    Object indent = given.get(1, "indent", null);
    String by =
        indent == null
            ? null
            : indent instanceof String text
                ? text
                : " ".repeat(Math.clamp(Values.whole(indent), 0, 100));
    String between = by == null ? ", " : ",";
    String afterKey = ": ";
    if (given.get(2, "separators", null) instanceof List<?> two && two.size() == 2) {
      between = Values.text(two.get(0));
      afterKey = Values.text(two.get(1));
    }
    boolean ascii = Values.truth(given.get(0, "ensure_ascii", false));
    boolean sorted = Values.truth(given.get(3, "sort_keys", false));
    return new Json(ascii, by, between, afterKey, sorted, in.budget()).of(value);
  }
}
