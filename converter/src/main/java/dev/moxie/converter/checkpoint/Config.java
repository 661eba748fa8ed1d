package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.DoublePredicate;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/**
 * A config.json that knows which of its keys were read, so that a key nobody understands is an
 * error and not an accident. A key whose value is null counts as absent; one within an object is
 * named after the object's key and a dot.
 */
public final class Config {
  /** Beside numbers that JSON has not. */
  private static final String FLOAT = "__float__";

  private final String where;
  private final String remedy;
  private final String path;
  private final JsonNode json;
  private final Set<String> ignored;
  private final Set<String> read = new TreeSet<>();
  private final Map<String, Config> objects = new TreeMap<>();

  private Config(String where, String remedy, String path, JsonNode json, Set<String> ignored) {
    this.where = where;
    this.remedy = remedy;
    this.path = path;
    this.json = json;
    this.ignored = ignored;
  }

  /**
   * Reads a config.json.
   *
   * @param ignored keys that the user declares to be without effect, which count as absent; those
   *     of nested objects after the object's and a dot
   * @throws CorruptException if the file is no JSON object
   */
  public static Config read(Path file, Set<String> ignored) {
    return of(file.toString(), StrictJson.readObject(file), ignored);
  }

  /**
   * Reads a config.json that is not in its file yet.
   *
   * @param where the file that it is meant for, for messages
   * @throws CorruptException if the bytes are no JSON object
   */
  public static Config parse(String where, byte[] json) {
    return parse(where, json, Set.of());
  }

  /**
   * Likewise.
   *
   * @param ignored as in {@link #read}
   * @throws CorruptException if the bytes are no JSON object
   */
  public static Config parse(String where, byte[] json, Set<String> ignored) {
    return of(where, StrictJson.parseObject(where, json), ignored);
  }

  private static Config of(String where, JsonNode json, Set<String> ignored) {
    String file = where.substring(where.lastIndexOf('/') + 1);
    String remedy = "correct " + file + ", or fetch it again";
    return new Config(where, remedy, "", json, Set.copyOf(ignored));
  }

  /** The same file, of which nothing has been read. */
  public Config unread() {
    return new Config(where, remedy, path, json, ignored);
  }

  /** The file, for messages. */
  public String where() {
    return where;
  }

  /** Whether the key has a value; asking counts as reading it. */
  public boolean has(String key) {
    int dot = key.indexOf('.');
    if (dot >= 0) {
      return has(key.substring(0, dot))
          && object(key.substring(0, dot)).has(key.substring(dot + 1));
    }
    read.add(key);
    return !json.path(key).isMissingNode() && !json.path(key).isNull() && !isIgnored(key);
  }

  /** Whether there is such a key, that of a nested object after the object's and a dot. */
  public boolean occurs(String key) {
    return StrictJson.occurs(json, key);
  }

  private boolean isIgnored(String key) {
    return ignored.contains(path + key);
  }

  /** Notes that keys are understood, whatever is made of their values. */
  public void understand(List<String> keys) {
    keys.forEach(this::has);
  }

  /** A whole number from 1 to {@code most}. */
  public int count(String key, int most) {
    return whole(key, 1, most);
  }

  /** A whole number within bounds. */
  public int whole(String key, int least, int most) {
    JsonNode value = require(key);
    if (!value.isInt() || value.intValue() < least || value.intValue() > most) {
      throw wrong(key, "a whole number from " + least + " to " + most, value.toString());
    }
    return value.intValue();
  }

  /** A finite number above 0. */
  public double positive(String key) {
    return number(key, "a finite number above 0", value -> value > 0);
  }

  /** A finite number from 0. */
  public double finite(String key) {
    return number(key, "a number", value -> true);
  }

  /** A finite number from 0. */
  public double notNegative(String key) {
    return number(key, "a finite number from 0", value -> value >= 0);
  }

  private double number(String key, String expected, DoublePredicate fits) {
    JsonNode value = require(key);
    if (!value.isNumber()
        || !Double.isFinite(value.doubleValue())
        || !fits.test(value.doubleValue())) {
      throw wrong(key, expected, value.toString());
    }
    return value.doubleValue();
  }

  /** A string. */
  public String text(String key) {
    JsonNode value = require(key);
    if (!value.isString()) {
      throw wrong(key, "a string", value.toString());
    }
    return value.stringValue();
  }

  /** One of some strings; any other means something that this build does not implement. */
  public String word(String key, List<String> words) {
    if (!words.contains(text(key))) {
      String expected =
          words.stream().map(word -> "\"" + word + "\"").collect(Collectors.joining(" or "));
      throw unsupported(key, expected, "\"" + text(key) + "\"");
    }
    return text(key);
  }

  /** Refuses any word but one, in whatever case it is written. */
  public void requireWord(String key, String only) {
    if (!text(key).equalsIgnoreCase(only)) {
      throw unsupported(key, "\"" + only + "\"", "\"" + text(key) + "\"");
    }
  }

  /** True or false. */
  public boolean flag(String key) {
    JsonNode value = require(key);
    if (!value.isBoolean()) {
      throw wrong(key, "true or false", value.toString());
    }
    return value.booleanValue();
  }

  /** An object within the config, which keeps its own account of what was read. */
  public Config object(String key) {
    int dot = key.indexOf('.');
    if (dot >= 0) {
      return object(key.substring(0, dot)).object(key.substring(dot + 1));
    }
    JsonNode value = require(key);
    if (!value.isObject()) {
      throw wrong(key, "an object", value.toString());
    }
    return objects.computeIfAbsent(
        key, k -> new Config(where + ", " + k, remedy, path + k + ".", value, ignored));
  }

  /** The strings of an array. */
  public List<String> texts(String key) {
    JsonNode value = require(key);
    List<String> texts = new ArrayList<>();
    for (JsonNode item : value.values()) {
      if (!item.isString()) {
        throw wrong(key, "an array of strings", value.toString());
      }
      texts.add(item.stringValue());
    }
    return texts;
  }

  /** The whole numbers of an array. */
  public List<Integer> numbers(String key) {
    JsonNode value = require(key);
    List<Integer> numbers = new ArrayList<>();
    for (JsonNode item : value.values()) {
      if (!value.isArray() || !item.isInt()) {
        throw wrong(key, "an array of whole numbers", value.toString());
      }
      numbers.add(item.intValue());
    }
    return numbers;
  }

  /** The keys that it has, in their order. */
  public List<String> names() {
    return List.copyOf(json.propertyNames());
  }

  /** Whether a key has no value, or one that says no more than that: false, nothing in brackets. */
  public boolean isOff(String key) {
    return !has(key)
        || (json.get(key).isBoolean() && !json.get(key).booleanValue())
        || (json.get(key).isContainer() && json.get(key).isEmpty());
  }

  /** Finite numbers above 0 by name, in their order; none where there is no such key. */
  public Map<String, Double> positivesByName(String key) {
    Map<String, Double> numbers = new LinkedHashMap<>();
    if (has(key)) {
      if (!json.get(key).isObject()) {
        throw wrong(key, "an object", json.get(key).toString());
      }
      for (var entry : json.get(key).properties()) {
        JsonNode value = entry.getValue();
        if (!value.isNumber()
            || !(value.doubleValue() > 0 && value.doubleValue() < Double.POSITIVE_INFINITY)) {
          throw wrong(key, "names with numbers above 0", entry.getKey() + ": " + value);
        }
        numbers.put(entry.getKey(), value.doubleValue());
      }
    }
    return numbers;
  }

  /** Whether a key has a number for a value. */
  public boolean isNumber(String key) {
    return has(key) && json.get(key).isNumber();
  }

  /** Whether a key has a string for a value. */
  public boolean isText(String key) {
    return has(key) && json.get(key).isString();
  }

  /** Finite numbers above 0. */
  public List<Double> positives(String key) {
    JsonNode value = require(key);
    List<Double> numbers = new ArrayList<>();
    for (JsonNode item : value.values()) {
      if (!value.isArray() || !item.isNumber() || !(item.doubleValue() > 0)) {
        throw wrong(key, "an array of numbers above 0", value.toString());
      }
      numbers.add(item.doubleValue());
    }
    return numbers;
  }

  /**
   * Two numbers, of which the second may be infinite, as transformers 5 writes that, whose JSON has
   * no infinity.
   */
  public List<Double> range(String key) {
    JsonNode value = require(key);
    List<Double> ends = new ArrayList<>();
    for (JsonNode item : value.values()) {
      boolean infinite = item.path(FLOAT).asString("").equals("Infinity");
      if (!value.isArray() || !(item.isNumber() || infinite)) {
        throw wrong(key, "an array of two numbers", value.toString());
      }
      ends.add(infinite ? Double.POSITIVE_INFINITY : item.doubleValue());
    }
    if (ends.size() != 2) {
      throw wrong(key, "an array of two numbers", value.toString());
    }
    return ends;
  }

  /** So many whole numbers from 1 to {@code most}, or one that is all of them. */
  public List<Integer> counts(String key, int most, int size) {
    List<Integer> counts =
        require(key).isArray() ? numbers(key) : Collections.nCopies(size, count(key, most));
    if (counts.size() != size || counts.stream().anyMatch(n -> n < 1 || n > most)) {
      throw wrong(
          key, "%d whole numbers from 1 to %d, or one".formatted(size, most), counts.toString());
    }
    return counts;
  }

  private JsonNode require(String key) {
    int dot = key.indexOf('.');
    if (dot >= 0 && has(key.substring(0, dot))) {
      return object(key.substring(0, dot)).require(key.substring(dot + 1));
    }
    if (!has(key)) {
      throw missing(key);
    }
    return json.get(key);
  }

  /** Runs what derives a value from this config; what it finds contradictory names this file. */
  public <T> T derive(Supplier<T> derivation) {
    try {
      return derivation.get();
    } catch (IllegalArgumentException e) {
      throw new CorruptException(
          where, "values that fit together", String.valueOf(e.getMessage()), remedy);
    } catch (ArithmeticException e) {
      throw new CorruptException(
          where, "sizes that can be counted in 63 bits", "larger ones", remedy);
    }
  }

  /** The error for a key that must have a value. */
  public InvalidInputException missing(String key) {
    return isIgnored(key)
        ? new CorruptException(
            where + ", " + key,
            "a value that counts",
            "one that is to be ignored",
            "leave it out of --ignore-config-key: the model follows from it")
        : wrong(key, "a value", "none");
  }

  /** The error for a value that is not what it must be. */
  public InvalidInputException wrong(String key, String expected, String found) {
    return new CorruptException(where + ", key \"" + key + "\"", expected, abridge(found), remedy);
  }

  /** The error for a value that means something this build does not implement. */
  public InvalidInputException unsupported(String key, String expected, String found) {
    return new UnsupportedException(
        where + ", key \"" + key + "\"",
        expected,
        abridge(found),
        "this build does not implement it, and guessing could change the numbers");
  }

  /**
   * Refuses keys that were neither read nor declared harmless, in the objects that were read, too.
   *
   * @param harmless keys without effect on the forward pass, by the object that they stand in; ""
   *     for config.json itself
   */
  public void requireAllUnderstood(Map<String, Set<String>> harmless) {
    List<String> unknown = notUnderstood(harmless);
    if (!unknown.isEmpty()) {
      throw new UnsupportedException(
          where,
          "only keys that this build understands",
          "others too: " + String.join(", ", unknown),
          "for each that does not change the forward pass, pass --ignore-config-key, as in"
              + " --ignore-config-key "
              + unknown.getFirst());
    }
  }

  /** Keys that were neither read nor are harmless, in the objects that were read, too. */
  public List<String> notUnderstood(Map<String, Set<String>> harmless) {
    String object = path.isEmpty() ? path : path.substring(0, path.length() - 1);
    Set<String> here = harmless.getOrDefault(object, Set.of());
    String table = harmless.containsKey(object) ? "" : path;
    List<String> unknown = new ArrayList<>();
    for (String key : json.propertyNames()) {
      if (!read.contains(key)
          && !here.contains(key)
          && !isIgnored(key)
          && !json.get(key).isNull()
          && !Neutral.is(table, key, json)) {
        unknown.add(abridge(path + key));
      }
    }
    objects.values().forEach(within -> unknown.addAll(within.notUnderstood(harmless)));
    return unknown;
  }

  private static String abridge(String text) {
    return text.length() > 120 ? text.substring(0, 120) + "…" : text;
  }
}
