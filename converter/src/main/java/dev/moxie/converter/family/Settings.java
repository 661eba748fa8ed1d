package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.error.InvalidInputException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A config.json, read as the keys of a family say. */
public final class Settings {
  private final Config config;
  private final Keys keys;

  /** Refuses what lacks a key that there must be, or has a value that is not implemented. */
  Settings(Config config, Keys keys) {
    this.config = config;
    this.keys = keys;
    config.understand(keys.names().toList());
    keys.read().values().forEach(this::check);
  }

  private <T> void check(Key<T> key) {
    // Whether or not the model needs it: what nobody reads might hold anything.
    if (values(key).isEmpty() && key.required()) {
      throw config.missing(key.name());
    }
    if (key.only() != null) {
      @Nullable T value = value(key);
      if (value != null && !value.equals(key.only())) {
        throw config.unsupported(name(key), key.only().toString(), value.toString());
      }
    }
  }

  /** The value of a key that the family has. */
  <T> T get(Key<T> key) {
    @Nullable T value = value(own(key));
    if (value == null) {
      throw config.missing(own(key).name());
    }
    return value;
  }

  /** The value of a key; null where there is none, and where the family has no such key. */
  <T> @Nullable T find(Key<T> key) {
    return keys.find(key).isEmpty() ? null : value(own(key));
  }

  /** Whether a flag is set; not where the family has no such key. */
  boolean on(Key<Boolean> flag) {
    return Boolean.TRUE.equals(find(flag));
  }

  /** The spellings of a key that config.json has. */
  List<String> stated(Key<?> key) {
    return own(key).names().stream().filter(config::has).toList();
  }

  @SuppressWarnings("unchecked") // Keys of one meaning are of one type.
  private <T> Key<T> own(Key<T> key) {
    return (Key<T>)
        keys.find(key)
            .orElseThrow(() -> new IllegalStateException("the family has no key " + key.id()));
  }

  /** By each spelling that config.json has. */
  private <T> List<T> values(Key<T> key) {
    return stated(key).stream().map(name -> key.read().apply(config, name)).toList();
  }

  private <T> @Nullable T value(Key<T> key) {
    List<T> values = values(key);
    if (values.isEmpty()) {
      return key.nullable() && config.occurs(key.name()) ? null : key.otherwise();
    }
    T value = values.getFirst();
    for (int i = 1; i < values.size(); i++) {
      if (!values.get(i).equals(value)) {
        throw wrong(key, "the same as %s, %s".formatted(stated(key).get(i), values.get(i)), value);
      }
    }
    return value;
  }

  /** A count within what another key allows. */
  int atMost(Key<Integer> key, int most) {
    return get(key) <= most ? get(key) : config.count(name(key), most);
  }

  /** The error for a value that is not what it must be. */
  InvalidInputException wrong(Key<?> key, String expected, @Nullable Object found) {
    return config.wrong(name(key), expected, found == null ? "none" : found.toString());
  }

  /** The error for a value that means something this build does not implement. */
  InvalidInputException unsupported(Key<?> key, String expected, Object found) {
    return config.unsupported(name(key), expected, found.toString());
  }

  /** How config.json spells a key. */
  String name(Key<?> key) {
    return stated(key).stream().findFirst().orElse(own(key).name());
  }

  /** The file itself. */
  Config config() {
    return config;
  }
}
