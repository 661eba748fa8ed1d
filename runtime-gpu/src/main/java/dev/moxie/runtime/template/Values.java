package dev.moxie.runtime.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** What Python does with values: truth, order, arithmetic, parts. */
final class Values {
  private Values() {}

  static String type(@Nullable Object value) {
    return switch (value) {
      case null -> "none";
      case Boolean flag -> "a boolean";
      case Number number -> "a number";
      case String text -> "a string";
      case Map<?, ?> map -> "a mapping";
      case List<?> list -> "a list";
      case Undefined undefined -> undefined.name() + ", which is undefined,";
      default -> "something else";
    };
  }

  static boolean truth(@Nullable Object value) {
    return switch (value) {
      case null -> false;
      case Boolean flag -> flag;
      case Long whole -> whole != 0;
      case Double number -> number != 0;
      case String text -> !text.isEmpty();
      case List<?> list -> !list.isEmpty();
      case Map<?, ?> map -> !map.isEmpty();
      case Undefined undefined -> false;
      default -> true;
    };
  }

  /** A boolean is a number, too. */
  static @Nullable Object numeric(@Nullable Object value) {
    return value instanceof Boolean flag ? (Object) (flag ? 1L : 0L) : value;
  }

  static boolean equal(@Nullable Object left, @Nullable Object right, Budget budget) {
    budget.step();
    Object a = numeric(left);
    Object b = numeric(right);
    return switch (a) {
      case Number x when b instanceof Number y ->
          isFinite(x, y) ? exact(x).compareTo(exact(y)) == 0 : x.doubleValue() == y.doubleValue();
      case List<?> x when b instanceof List<?> y -> {
        boolean alike = x.size() == y.size() && x instanceof Tuple == y instanceof Tuple;
        for (int i = 0; alike && i < x.size(); i++) {
          alike = equal(x.get(i), y.get(i), budget);
        }
        yield alike;
      }
      case Map<?, ?> x when b instanceof Map<?, ?> y -> {
        boolean alike = x.size() == y.size();
        for (Map.Entry<?, ?> entry : x.entrySet()) {
          Object key = entry.getKey();
          alike = alike && y.containsKey(key) && equal(entry.getValue(), y.get(key), budget);
        }
        yield alike;
      }
      case null, default -> Objects.equals(a, b);
    };
  }

  /** Below 0, 0 or above 0 as Python orders two values. */
  static int order(@Nullable Object left, @Nullable Object right, Budget budget) {
    Object a = numeric(left);
    Object b = numeric(right);
    if (a instanceof Long x && b instanceof Long y) {
      return x.compareTo(y);
    }
    if (a instanceof Number x && b instanceof Number y) {
      return isFinite(x, y)
          ? exact(x).compareTo(exact(y))
          : Double.compare(x.doubleValue(), y.doubleValue());
    }
    if (a instanceof String x && b instanceof String y) {
      return Arrays.compare(x.codePoints().toArray(), y.codePoints().toArray());
    }
    if (a instanceof List<?> x
        && b instanceof List<?> y
        && x instanceof Tuple == y instanceof Tuple) {
      for (int i = 0; i < Math.min(x.size(), y.size()); i++) {
        if (!equal(x.get(i), y.get(i), budget)) {
          return order(x.get(i), y.get(i), budget);
        }
      }
      return Integer.compare(x.size(), y.size());
    }
    throw new TemplateException(type(left) + " and " + type(right) + " have no order");
  }

  private static boolean isFinite(Number x, Number y) {
    return Double.isFinite(x.doubleValue()) && Double.isFinite(y.doubleValue());
  }

  private static BigDecimal exact(Number number) {
    return number instanceof Double fraction
        ? new BigDecimal(fraction)
        : new BigDecimal(number.toString());
  }

  static boolean contains(@Nullable Object whole, @Nullable Object part, Budget budget) {
    return switch (whole) {
      case String text when part instanceof String sought -> text.contains(sought);
      case Map<?, ?> map -> map.containsKey(key(part));
      case List<?> list -> list.stream().anyMatch(item -> equal(item, part, budget));
      case Undefined undefined -> false;
      case null, default -> throw new TemplateException(type(whole) + " contains nothing");
    };
  }

  /** What a loop goes over: items, keys, or characters. */
  static List<@Nullable Object> items(@Nullable Object value) {
    return switch (value) {
      case List<?> list -> new ArrayList<>(list);
      case Map<?, ?> map -> new ArrayList<>(map.keySet());
      case String text -> {
        List<@Nullable Object> characters = new ArrayList<>();
        text.codePoints().forEach(c -> characters.add(Character.toString(c)));
        yield characters;
      }
      case Undefined undefined -> new ArrayList<>();
      case null, default -> throw new TemplateException(type(value) + " cannot be gone through");
    };
  }

  static long length(@Nullable Object value) {
    return switch (value) {
      case String text -> text.codePointCount(0, text.length());
      case List<?> list -> list.size();
      case Map<?, ?> map -> map.size();
      case Undefined undefined -> 0;
      case null, default -> throw new TemplateException(type(value) + " has no length");
    };
  }

  /** A key of a mapping: whole numbers and booleans of one value are one key. */
  static Object key(@Nullable Object value) {
    Object key = numeric(value);
    return switch (key) {
      case String text -> text;
      case Long whole -> whole;
      case Double number when number == Math.rint(number) && Math.abs(number) < 1e15 ->
          number.longValue();
      case Double number -> number;
      case null -> None.KEY;
      default -> throw new TemplateException(type(value) + " is no key");
    };
  }

  /** None as a key. */
  enum None {
    KEY
  }

  static long whole(@Nullable Object value) {
    if (numeric(value) instanceof Long whole) {
      return whole;
    }
    throw new TemplateException("expected a whole number, found " + type(value));
  }

  static String text(@Nullable Object value) {
    if (value instanceof String text) {
      return text;
    }
    throw new TemplateException("expected a string, found " + type(value));
  }

  /** {@code of[start:stop:step]} */
  static Object slice(
      @Nullable Object of, @Nullable Object start, @Nullable Object stop, @Nullable Object step) {
    if (of instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (!(of instanceof String) && !(of instanceof List<?>)) {
      throw new TemplateException(type(of) + " has no slices");
    }
    List<@Nullable Object> all = items(of);
    long by = step == null ? 1 : whole(step);
    if (by == 0) {
      throw new TemplateException("a slice has no step of zero");
    }
    int size = all.size();
    long from = bound(start, size, by > 0 ? 0 : size - 1, by);
    long to = bound(stop, size, by > 0 ? size : -1, by);
    List<@Nullable Object> part = new ArrayList<>();
    for (long i = from; by > 0 ? i < to : i > to; i += by) {
      part.add(all.get((int) i));
    }
    if (of instanceof String) {
      var text = new StringBuilder();
      part.forEach(text::append);
      return text.toString();
    }
    return of instanceof Tuple ? new Tuple(part) : part;
  }

  private static long bound(@Nullable Object given, int size, long otherwise, long step) {
    if (given == null) {
      return otherwise;
    }
    long at = whole(given);
    if (at < 0) {
      at = Math.max(at + size, step > 0 ? 0 : -1);
    }
    return Math.min(at, step > 0 ? size : size - 1);
  }

  /** {@code left operator right} of numbers, texts and lists. */
  static Object compute(
      String operator, @Nullable Object left, @Nullable Object right, Budget budget) {
    Object a = numeric(left);
    Object b = numeric(right);
    if (a instanceof Long x && b instanceof Long y && !operator.equals("/")) {
      return whole(operator, x, y);
    }
    if (a instanceof BigInteger || b instanceof BigInteger) {
      throw new TemplateException("arithmetic with a whole number that is too large");
    }
    if (a instanceof Number x && b instanceof Number y) {
      return fraction(operator, x.doubleValue(), y.doubleValue());
    }
    if (operator.equals("+") && a instanceof String x && b instanceof String y) {
      budget.make((long) x.length() + y.length());
      return x + y;
    }
    if (operator.equals("+")
        && a instanceof List<?> x
        && b instanceof List<?> y
        && x instanceof Tuple == y instanceof Tuple) {
      budget.make((long) x.size() + y.size());
      List<@Nullable Object> both = new ArrayList<>(x);
      both.addAll(y);
      return x instanceof Tuple ? new Tuple(both) : both;
    }
    if (operator.equals("*") && a instanceof Long times && !(b instanceof Long)) {
      return repeated(b, times, budget);
    }
    if (operator.equals("*") && b instanceof Long times) {
      return repeated(a, times, budget);
    }
    if (a instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (b instanceof Undefined undefined) {
      throw undefined.error();
    }
    throw new TemplateException(
        "%s %s %s is nothing that templates compute".formatted(type(left), operator, type(right)));
  }

  private static Object repeated(@Nullable Object of, long times, Budget budget) {
    int count = Math.clamp(times, 0, Integer.MAX_VALUE);
    if (of instanceof String text) {
      budget.make((long) text.length() * count);
      return text.repeat(count);
    }
    if (of instanceof List<?> list) {
      budget.make((long) list.size() * count);
      List<@Nullable Object> all = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        all.addAll(list);
      }
      return of instanceof Tuple ? new Tuple(all) : all;
    }
    throw of instanceof Undefined undefined
        ? undefined.error()
        : new TemplateException(type(of) + " cannot be repeated");
  }

  private static Object whole(String operator, long a, long b) {
    try {
      return switch (operator) {
        case "+" -> Math.addExact(a, b);
        case "-" -> Math.subtractExact(a, b);
        case "*" -> Math.multiplyExact(a, b);
        case "//" -> Math.floorDiv(a, b);
        case "%" -> Math.floorMod(a, b);
        default -> b < 0 ? (Object) Math.pow((double) a, (double) b) : power(a, b);
      };
    } catch (ArithmeticException e) {
      throw new TemplateException(
          b == 0 ? "a division by zero" : "a whole number that is too large");
    }
  }

  private static long power(long a, long b) {
    if (Math.abs(a) <= 1) {
      return a == -1 && b % 2 != 0 ? -1 : a == 0 && b == 0 ? 1 : Math.abs(a);
    }
    long power = 1;
    for (long i = 0; i < b; i++) {
      power = Math.multiplyExact(power, a);
    }
    return power;
  }

  private static double fraction(String operator, double a, double b) {
    if (b == 0 && (operator.startsWith("/") || operator.equals("%"))) {
      throw new TemplateException("a division by zero");
    }
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> Math.floor(a / b);
      case "%" -> {
        double rest = a % b;
        yield rest == 0 ? Math.copySign(0, b) : rest < 0 == b < 0 ? rest : rest + b;
      }
      default -> Math.pow(a, b);
    };
  }
}
