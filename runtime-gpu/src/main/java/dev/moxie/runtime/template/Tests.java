package dev.moxie.runtime.template;

import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What may stand after {@code is} (jinja2 {@code tests.py}). */
final class Tests {
  static final Map<String, Test> ALL = all();

  private Tests() {}

  /** One that a template was read with. */
  static Test named(String name) {
    return Objects.requireNonNull(ALL.get(name));
  }

  /** Whether a value is such. */
  @FunctionalInterface
  interface Test {
    boolean holds(@Nullable Object value, Given given, Budget budget);
  }

  /** Whether a value and another are such. */
  @FunctionalInterface
  private interface Pair {
    boolean holds(@Nullable Object value, @Nullable Object other, Budget budget);
  }

  private static Map<String, Test> all() {
    Map<String, Test> all = new HashMap<>();
    all.put("defined", (v, g, budget) -> !(v instanceof Undefined));
    all.put("undefined", (v, g, budget) -> v instanceof Undefined);
    all.put("none", (v, g, budget) -> v == null);
    all.put("string", (v, g, budget) -> v instanceof String);
    all.put("mapping", (v, g, budget) -> v instanceof Map<?, ?>);
    all.put("iterable", (v, g, budget) -> isIterable(v));
    all.put(
        "sequence",
        (v, g, budget) ->
            v instanceof String
                || v instanceof List<?>
                || v instanceof Map<?, ?>
                || v instanceof Undefined);
    all.put("number", (v, g, budget) -> Values.numeric(v) instanceof Number);
    all.put("integer", (v, g, budget) -> v instanceof Long);
    all.put("float", (v, g, budget) -> v instanceof Double);
    all.put("boolean", (v, g, budget) -> v instanceof Boolean);
    all.put("true", (v, g, budget) -> v instanceof Boolean flag && flag);
    all.put("false", (v, g, budget) -> v instanceof Boolean flag && !flag);
    all.put("callable", (v, g, budget) -> v instanceof Callable);
    all.put("odd", (v, g, budget) -> Math.floorMod(Values.whole(v), 2) == 1);
    all.put("even", (v, g, budget) -> Math.floorMod(Values.whole(v), 2) == 0);
    all.put(
        "lower",
        (v, g, budget) -> {
          String text = PythonText.of(v);
          return text.equals(text.toLowerCase(Locale.ROOT)) && hasCase(text);
        });
    all.put(
        "upper",
        (v, g, budget) -> {
          String text = PythonText.of(v);
          return text.equals(text.toUpperCase(Locale.ROOT)) && hasCase(text);
        });
    pair(all, Values::equal, "equalto", "eq", "==");
    pair(all, (a, b, budget) -> !Values.equal(a, b, budget), "ne");
    pair(all, (a, b, budget) -> Values.order(a, b, budget) < 0, "lessthan", "lt");
    pair(all, (a, b, budget) -> Values.order(a, b, budget) <= 0, "le");
    pair(all, (a, b, budget) -> Values.order(a, b, budget) > 0, "greaterthan", "gt");
    pair(all, (a, b, budget) -> Values.order(a, b, budget) >= 0, "ge");
    pair(all, (a, b, budget) -> Values.contains(b, a, budget), "in");
    pair(all, (a, b, budget) -> isSame(a, b), "sameas");
    pair(
        all,
        (a, b, budget) -> {
          if (Values.whole(b) == 0) {
            throw new TemplateException("a division by zero");
          }
          return Values.whole(a) % Values.whole(b) == 0;
        },
        "divisibleby");
    return Map.copyOf(all);
  }

  private static void pair(Map<String, Test> all, Pair pair, String... names) {
    for (String name : names) {
      all.put(
          name,
          (value, given, budget) ->
              pair.holds(value, given.only("other").require(0, "other"), budget));
    }
  }

  private static boolean isIterable(@Nullable Object value) {
    return value instanceof String
        || value instanceof List<?>
        || value instanceof Map<?, ?>
        || value instanceof Undefined;
  }

  @SuppressWarnings("ReferenceEquality") // As Python's "is".
  private static boolean isSame(@Nullable Object a, @Nullable Object b) {
    return a == b
        || (a instanceof Boolean && a.equals(b))
        || (a instanceof Long && a.equals(b))
        || (a instanceof String && a.equals(b));
  }

  private static boolean hasCase(String text) {
    return text.codePoints().anyMatch(c -> Character.isUpperCase(c) || Character.isLowerCase(c));
  }
}
