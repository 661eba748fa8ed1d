package dev.moxie.converter.family;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The keys of config.json that a family understands; every other that is not harmless is refused.
 *
 * @param read those that say something, by {@link Key#id}
 * @param neutral those that change nothing in this family, whatever their values
 * @param configs objects that transformers saves as configurations of their own: what is harmless
 *     in config.json is so in them
 */
public record Keys(Map<String, Key<?>> read, List<Neutral> neutral, Set<String> configs) {
  /**
   * Keys without effect.
   *
   * @param reason in a few words
   */
  public record Neutral(List<String> names, String reason) {}

  static Keys of(Key<?>... keys) {
    return new Keys(Map.of(), List.of(), Set.of()).and(keys);
  }

  /** With more keys, or with others of the same meanings. */
  Keys and(Key<?>... keys) {
    Map<String, Key<?>> all = new LinkedHashMap<>(read);
    Stream.of(keys).forEach(key -> all.put(key.id(), key));
    return new Keys(all, neutral, configs);
  }

  /** With those of another table. */
  Keys and(Keys other) {
    List<Neutral> all = new ArrayList<>(neutral);
    all.addAll(other.neutral);
    Set<String> objects = new HashSet<>(configs);
    objects.addAll(other.configs);
    return new Keys(read, all, objects).and(other.read.values().toArray(Key<?>[]::new));
  }

  /** Without some of the keys. */
  Keys without(Key<?>... keys) {
    Map<String, Key<?>> rest = new LinkedHashMap<>(read);
    Stream.of(keys).forEach(key -> rest.remove(key.id()));
    return new Keys(rest, neutral, configs);
  }

  /** With keys that change nothing. */
  Keys neutral(String reason, String... names) {
    List<Neutral> all = new ArrayList<>(neutral);
    all.add(new Neutral(List.of(names), reason));
    return new Keys(read, all, configs);
  }

  /** With objects that are configurations of their own. */
  Keys configs(String... objects) {
    return new Keys(read, neutral, Set.of(objects));
  }

  /** How the family spells a key of that meaning, if it has one. */
  Optional<Key<?>> find(Key<?> key) {
    return Optional.ofNullable(read.get(key.id()));
  }

  /** What is harmless besides, by the object that it stands in; config.json itself is called "". */
  Map<String, Set<String>> harmless() {
    Map<String, Set<String>> all = new HashMap<>();
    configs.forEach(object -> all.put(object, HarmlessKeys.WITHIN));
    all.put("", HarmlessKeys.ALL);
    return all;
  }

  /** All names, of keys within objects after the objects' and a dot. */
  Stream<String> names() {
    return Stream.concat(
        read.values().stream().flatMap(key -> key.names().stream()),
        neutral.stream().flatMap(keys -> keys.names().stream()));
  }
}
