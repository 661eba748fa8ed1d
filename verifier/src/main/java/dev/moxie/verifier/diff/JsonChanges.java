package dev.moxie.verifier.diff;

import dev.moxie.format.json.StrictJson;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The members in which two JSON values differ. One that is null is not one that is absent, and a
 * whole number is not one with a fraction of zero, which not every reader takes.
 */
public final class JsonChanges {
  private final List<Diff.Change> changes = new ArrayList<>();

  private JsonChanges() {}

  /**
   * Compares two values.
   *
   * @param path what they are called
   */
  static List<Diff.Change> of(String path, JsonNode a, JsonNode b) {
    var json = new JsonChanges();
    json.compare(path, a, b);
    return json.changes;
  }

  /** The members in which a value differs from the one expected, in words. */
  public static String describe(Object expected, Object found) {
    JsonMapper mapper = StrictJson.mapper(false);
    return of("", mapper.valueToTree(expected), mapper.valueToTree(found)).stream()
        .map(change -> change.what() + " " + change.b() + " for " + change.a())
        .collect(Collectors.joining(", "));
  }

  private void compare(String path, JsonNode a, JsonNode b) {
    if (a.isObject() && b.isObject()) {
      Set<String> names = new TreeSet<>(a.propertyNames());
      names.addAll(b.propertyNames());
      names.forEach(
          name -> compare(path.isEmpty() ? name : path + "." + name, a.path(name), b.path(name)));
    } else if (a.isArray() && b.isArray() && a.size() == b.size()) {
      for (int i = 0; i < a.size(); i++) {
        compare(path + "[" + i + "]", a.get(i), b.get(i));
      }
    } else if (!a.equals(b)) {
      changes.add(new Diff.Change(path, text(a), text(b)));
    }
  }

  private static @Nullable String text(JsonNode value) {
    return value.isMissingNode() ? null : value.toString();
  }
}
