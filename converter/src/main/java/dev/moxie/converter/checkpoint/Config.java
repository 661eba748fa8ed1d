package dev.moxie.converter.checkpoint;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.json.StrictJson;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.DoublePredicate;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * A config.json that knows which of its keys were read, so that a key nobody understands is an
 * error and not an accident. A key whose value is null counts as absent.
 */
public final class Config {
  private static final String REMEDY = "correct config.json, or fetch it again";

  private final String where;
  private final String path;
  private final JsonNode json;
  private final Set<String> ignored;
  private final Set<String> read = new TreeSet<>();

  private Config(String where, String path, JsonNode json, Set<String> ignored) {
    this.where = where;
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
    return new Config(file.toString(), "", StrictJson.readObject(file), Set.copyOf(ignored));
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
    return new Config(where, "", StrictJson.parseObject(where, json), Set.copyOf(ignored));
  }

  /** Whether the key has a value; asking counts as reading it. */
  public boolean has(String key) {
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

  /** Notes keys that change nothing, whatever their values. */
  public void neutral(String... keys) {
    read.addAll(List.of(keys));
  }

  /**
   * Which of several spellings of one key there is.
   *
   * @return the first of them if there is none
   * @throws dev.moxie.format.error.InvalidInputException if there are some that differ
   */
  public String either(String... keys) {
    List<String> there = Stream.of(keys).filter(this::has).toList();
    for (String key : there) {
      if (!json.get(key).equals(json.get(there.getFirst()))) {
        throw wrong(
            key,
            "the same as " + there.getFirst() + ", " + json.get(there.getFirst()),
            json.get(key).toString());
      }
    }
    return there.isEmpty() ? keys[0] : there.getFirst();
  }

  /** Refuses one of true and false where the key has a value. */
  public void requireFlagIfAny(String key, boolean only) {
    if (flag(key, only) != only) {
      throw unsupported(key, String.valueOf(only), String.valueOf(!only));
    }
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

  /** As {@link #count}, or null if the key is absent. */
  public @Nullable Integer countOrNull(String key, int most) {
    return has(key) ? count(key, most) : null;
  }

  /** A finite number above 0. */
  public double positive(String key) {
    return number(key, "a finite number above 0", value -> value > 0);
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

  /** Refuses any string but one. */
  public void requireText(String key, String only) {
    if (!text(key).equals(only)) {
      throw unsupported(key, "\"" + only + "\"", text(key));
    }
  }

  /** Refuses any word but one, in whatever case it is written. */
  public void requireWord(String key, String only) {
    if (!text(key).equalsIgnoreCase(only)) {
      throw unsupported(key, "\"" + only + "\"", "\"" + text(key) + "\"");
    }
  }

  /** Likewise, where the key has a value. */
  public void requireWordIfAny(String key, String only) {
    if (has(key)) {
      requireWord(key, only);
    }
  }

  /** Refuses any string but one where the key has a value. */
  public void requireTextIfAny(String key, String only) {
    if (has(key)) {
      requireText(key, only);
    }
  }

  /** True or false; a key that is absent has the given value. */
  public boolean flag(String key, boolean whenAbsent) {
    if (!has(key)) {
      return whenAbsent;
    }
    JsonNode value = require(key);
    if (!value.isBoolean()) {
      throw wrong(key, "true or false", value.toString());
    }
    return value.booleanValue();
  }

  /** An object within the config, which keeps its own account of what was read. */
  public Config object(String key) {
    JsonNode value = require(key);
    if (!value.isObject()) {
      throw wrong(key, "an object", value.toString());
    }
    return new Config(where + ", " + key, path + key + ".", value, ignored);
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

  private JsonNode require(String key) {
    if (!has(key)) {
      if (isIgnored(key)) {
        throw new CorruptException(
            where + ", " + key,
            "a value that counts",
            "one that is to be ignored",
            "leave it out of --ignore-config-key: the model follows from it");
      }
      throw wrong(key, "a value", "none");
    }
    return json.get(key);
  }

  /** Runs what derives a value from this config; what it finds contradictory names this file. */
  public <T> T derive(Supplier<T> derivation) {
    try {
      return derivation.get();
    } catch (IllegalArgumentException e) {
      throw new CorruptException(
          where, "values that fit together", String.valueOf(e.getMessage()), REMEDY);
    } catch (ArithmeticException e) {
      throw new CorruptException(
          where, "sizes that can be counted in 63 bits", "larger ones", REMEDY);
    }
  }

  /** The error for a value that is not what it must be. */
  public InvalidInputException wrong(String key, String expected, String found) {
    return new CorruptException(where + ", key \"" + key + "\"", expected, abridge(found), REMEDY);
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
   * Refuses keys that were neither read nor declared harmless.
   *
   * @param harmless keys without effect on the forward pass
   */
  public void requireAllUnderstood(Set<String> harmless) {
    List<String> unknown = new ArrayList<>();
    for (String key : json.propertyNames()) {
      if (!read.contains(key)
          && !harmless.contains(key)
          && !isIgnored(key)
          && !json.get(key).isNull()
          && !Neutral.is(path, key, json)) {
        unknown.add(abridge(path + key));
      }
    }
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

  private static String abridge(String text) {
    return text.length() > 120 ? text.substring(0, 120) + "…" : text;
  }
}
