package dev.moxie.runtime.template;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Python's {@code json.dumps}, with which transformers takes the place of Jinja's own filter. */
final class Json {
  private final boolean ascii;
  private final @Nullable String indent;
  private final String between;
  private final String afterKey;
  private final boolean sorted;
  private final Budget budget;
  private final StringBuilder out = new StringBuilder();

  Json(
      boolean ascii,
      @Nullable String indent,
      String between,
      String afterKey,
      boolean sorted,
      Budget budget) {
    this.ascii = ascii;
    this.indent = indent;
    this.between = between;
    this.afterKey = afterKey;
    this.sorted = sorted;
    this.budget = budget;
  }

  String of(@Nullable Object value) {
    write(value, 0);
    budget.make(out.length());
    return out.toString();
  }

  private void write(@Nullable Object value, int depth) {
    budget.step();
    Budget.requireSize(out.length());
    switch (value) {
      case null -> out.append("null");
      case Boolean flag -> out.append(flag);
      case Long whole -> out.append(whole);
      case BigInteger large -> out.append(large);
      case Double number -> out.append(number(number));
      case String text -> string(text);
      case Range range -> throw new TemplateException("a range is nothing that JSON has");
      case List<?> list -> list(list, depth);
      case Map<?, ?> map -> map(map, depth);
      default -> throw new TemplateException(Values.type(value) + " is nothing that JSON has");
    }
  }

  private static String number(double number) {
    if (Double.isNaN(number)) {
      return "NaN";
    }
    return Double.isInfinite(number)
        ? number > 0 ? "Infinity" : "-Infinity"
        : PythonText.number(number);
  }

  private void list(List<?> list, int depth) {
    out.append('[');
    for (int i = 0; i < list.size(); i++) {
      separate(i, depth + 1);
      write(list.get(i), depth + 1);
    }
    close(list.isEmpty(), depth, ']');
  }

  private void map(Map<?, ?> map, int depth) {
    out.append('{');
    List<Map.Entry<String, ?>> entries = new ArrayList<>();
    map.forEach(
        (key, item) -> entries.add(new java.util.AbstractMap.SimpleEntry<>(name(key), item)));
    if (sorted) {
      Map<String, Map.Entry<String, ?>> order = new TreeMap<>();
      entries.forEach(entry -> order.put(entry.getKey(), entry));
      entries.clear();
      entries.addAll(order.values());
    }
    for (int i = 0; i < entries.size(); i++) {
      separate(i, depth + 1);
      string(entries.get(i).getKey());
      out.append(afterKey);
      write(entries.get(i).getValue(), depth + 1);
    }
    close(map.isEmpty(), depth, '}');
  }

  private static String name(Object key) {
    return switch (key) {
      case String text -> text;
      case Double number -> number(number);
      case Values.None none -> "null";
      default -> key.toString();
    };
  }

  private void separate(int index, int depth) {
    if (index > 0) {
      out.append(between);
    }
    line(depth);
  }

  private void close(boolean empty, int depth, char bracket) {
    if (!empty) {
      line(depth);
    }
    out.append(bracket);
  }

  private void line(int depth) {
    if (indent != null) {
      out.append('\n').append(indent.repeat(depth));
    }
  }

  private void string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\b' -> out.append("\\b");
        case '\f' -> out.append("\\f");
        default -> {
          if (c < 0x20 || (ascii && c > 0x7e)) {
            out.append("\\u%04x".formatted((int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
