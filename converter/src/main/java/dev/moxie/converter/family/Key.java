package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.model.Limits;
import java.util.List;
import java.util.Set;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/**
 * What a key of config.json means to a family, and what it may hold. Families that mean the same
 * share one, each with its own spellings and its own value where there is none.
 *
 * @param id tells keys of one meaning; the first spelling that it ever had
 * @param meaning in a few words
 * @param values what it may hold, in words
 * @param read its value, by its spelling
 * @param names its spellings, which must agree; none for a constant of the family's class
 * @param required whether there must be a value
 * @param otherwise the value where there is none; null if the model then lacks what it is of
 * @param only the one value that this build implements; null where any is fine
 * @param nullable whether {@code null} is another value than none: that which lacks it
 */
public record Key<T>(
    String id,
    String meaning,
    String values,
    BiFunction<Config, String, T> read,
    List<String> names,
    boolean required,
    @Nullable T otherwise,
    @Nullable T only,
    boolean nullable) {
  private static final String LAYERS = "num_hidden_layers";
  private static final String BY_LAYER = "or one for each layer";

  /** A key that holds what the others here do not. */
  static <T> Key<T> of(
      String name, String values, BiFunction<Config, String, T> read, String meaning) {
    return new Key<>(name, meaning, values, read, List.of(name), true, null, null, false);
  }

  /** A whole number from 1 to {@code most}. */
  static Key<Integer> count(String name, int most, String meaning) {
    return whole(name, 1, most, meaning);
  }

  /** A whole number within bounds. */
  static Key<Integer> whole(String name, int least, int most, String meaning) {
    String values = "a whole number from %d to %d".formatted(least, most);
    return of(name, values, (config, key) -> config.whole(key, least, most), meaning);
  }

  /** A finite number above 0. */
  static Key<Double> positive(String name, String meaning) {
    return of(name, "a number above 0", Config::positive, meaning);
  }

  /** A finite number from 0. */
  static Key<Double> notNegative(String name, String meaning) {
    return of(name, "a number from 0", Config::notNegative, meaning);
  }

  /** Finite numbers above 0. */
  static Key<List<Double>> positives(String name, String meaning) {
    return of(name, "numbers above 0", Config::positives, meaning);
  }

  /** True or false. */
  static Key<Boolean> flag(String name, String meaning) {
    return of(name, "true or false", Config::flag, meaning);
  }

  /** A string. */
  static Key<String> text(String name, String meaning) {
    return of(name, "a string", Config::text, meaning);
  }

  /** One of some words. */
  static Key<String> word(String name, String meaning, Set<String> words) {
    List<String> all = words.stream().sorted().toList();
    return of(name, String.join(" or ", all), (config, key) -> config.word(key, all), meaning);
  }

  /** Whole numbers. */
  static Key<List<Integer>> numbers(String name, String meaning) {
    return of(name, "whole numbers", Config::numbers, meaning);
  }

  /** A whole number from 1 to {@code most} for each layer; one number is every layer's. */
  static Key<List<Integer>> ofLayers(int most, String meaning, String name) {
    return of(
        name,
        "a whole number from 1 to %d, %s".formatted(most, BY_LAYER),
        (config, key) -> config.counts(key, most, config.count(LAYERS, Limits.MAX_LAYERS)),
        meaning);
  }

  /** Strings. */
  static Key<List<String>> texts(String name, String meaning) {
    return of(name, "strings", Config::texts, meaning);
  }

  /** An object. */
  static Key<Config> object(String name, String meaning) {
    return of(name, "an object", Config::object, meaning);
  }

  /** A list of words, or of 0 for the first of two and 1 for the second. */
  static Key<List<String>> kinds(Key<List<String>> words, String numbers, String zero, String one) {
    List<String> both = List.of(zero, one);
    return of(
            words.name(),
            "strings, or of 0 and 1",
            (config, key) ->
                key.equals(numbers) ? words(config, key, both) : words.read().apply(config, key),
            words.meaning())
        .also(numbers)
        .orNone();
  }

  private static List<String> words(Config config, String key, List<String> both) {
    List<Integer> numbers = config.numbers(key);
    if (!List.of(0, 1).containsAll(numbers)) {
      throw config.wrong(key, "an array of 0 and 1", numbers.toString());
    }
    return numbers.stream().map(both::get).toList();
  }

  /** The same, spelled otherwise as well; within an object after the object's key and a dot. */
  Key<T> also(String other) {
    return spelled(name(), other);
  }

  /** The same, spelled otherwise; within an object after the object's key and a dot. */
  Key<T> spelled(String... other) {
    return new Key<>(
        id, meaning, values, read, List.of(other), required, otherwise, only, nullable);
  }

  /** The same, with a value where there is none. */
  Key<T> or(T value) {
    return new Key<>(id, meaning, values, read, names, false, value, only, nullable);
  }

  /** The same, which only some models of the family need. */
  Key<T> orNone() {
    return new Key<>(id, meaning, values, read, names, false, null, only, nullable);
  }

  /** The same, where {@code null} says that the model lacks what it is of. */
  Key<T> orNull() {
    return new Key<>(id, meaning, values, read, names, required, otherwise, only, true);
  }

  /** The same, of which other values are refused; there need not be one. */
  Key<T> only(T value) {
    return new Key<>(id, meaning, values, read, names, false, value, value, nullable);
  }

  /** The same, of which every value is implemented. */
  Key<T> any() {
    return new Key<>(id, meaning, values, read, names, required, otherwise, null, nullable);
  }

  /** The same, of which there must be a value. */
  Key<T> always() {
    return new Key<>(id, meaning, values, read, names, true, null, only, nullable);
  }

  /** The same as a constant, which no key of config.json changes. */
  Key<T> constant(T value) {
    return new Key<>(id, meaning, values, read, List.of(), false, value, value, nullable);
  }

  /** What it may hold and what holds without it, in words. */
  public String rule() {
    if (names.isEmpty()) {
      return "always " + otherwise;
    }
    String held = only == null ? values : only + " alone";
    if (required) {
      return held + ", required";
    }
    String without = otherwise == null ? ", may be absent" : ", " + otherwise + " where absent";
    return held + without + (nullable ? ", null for none" : "");
  }

  /** Whether each layer may have a value of its own. */
  boolean isByLayer() {
    return values.endsWith(BY_LAYER);
  }

  /** How it is called in messages. */
  String name() {
    return names.isEmpty() ? id : names.getFirst();
  }
}
