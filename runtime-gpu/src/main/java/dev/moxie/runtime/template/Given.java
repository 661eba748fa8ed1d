package dev.moxie.runtime.template;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What something is called with. */
record Given(List<@Nullable Object> positional, Map<String, @Nullable Object> named) {
  static final Given NOTHING = new Given(List.of(), Map.of());

  /**
   * One argument, by its place or by its name.
   *
   * @return the default where there is none
   */
  @Nullable Object get(int place, String name, @Nullable Object otherwise) {
    if (place < positional.size()) {
      return positional.get(place);
    }
    return named.containsKey(name) ? named.get(name) : otherwise;
  }

  boolean has(int place, String name) {
    return place < positional.size() || named.containsKey(name);
  }

  @Nullable Object require(int place, String name) {
    if (!has(place, name)) {
      throw new TemplateException("an argument is missing: " + name);
    }
    return get(place, name, null);
  }

  /** Refuses others than these. */
  Given only(String... names) {
    if (positional.size() > names.length || !Set.of(names).containsAll(named.keySet())) {
      throw new TemplateException(
          "expected no arguments but %s, found %d and %s"
              .formatted(List.of(names), positional.size(), named.keySet()));
    }
    return this;
  }

  /** Without the first one. */
  Given rest() {
    return new Given(positional.subList(Math.min(1, positional.size()), positional.size()), named);
  }
}
