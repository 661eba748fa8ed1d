package dev.moxie.runtime.http;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** The members of a request; a null is as good as none. */
record Fields(ObjectNode object) {
  Optional<JsonNode> get(String name) {
    return Optional.ofNullable(object.get(name)).filter(node -> !node.isNull());
  }

  boolean has(String name) {
    return get(name).isPresent();
  }

  boolean flag(String name) {
    return get(name)
        .map(
            node -> {
              require(node.isBoolean(), name, "true or false", node);
              return node.booleanValue();
            })
        .orElse(false);
  }

  Optional<String> text(String name) {
    return get(name)
        .map(
            node -> {
              require(node.isString(), name, "a string", node);
              return node.stringValue();
            });
  }

  Optional<Integer> whole(String name, int least, int most) {
    return get(name)
        .map(
            node -> {
              boolean fits =
                  node.isIntegralNumber()
                      && node.canConvertToInt()
                      && node.intValue() >= least
                      && node.intValue() <= most;
              require(fits, name, "a whole number from " + least + " to " + most, node);
              return node.intValue();
            });
  }

  Optional<Long> large(String name) {
    return get(name)
        .map(
            node -> {
              require(
                  node.isIntegralNumber() && node.canConvertToLong(), name, "a whole number", node);
              return node.longValue();
            });
  }

  double number(String name, double otherwise, double least, double most) {
    return get(name)
        .map(
            node -> {
              boolean fits =
                  node.isNumber() && node.doubleValue() >= least && node.doubleValue() <= most;
              require(fits, name, "a number from %s to %s".formatted(least, most), node);
              return node.doubleValue();
            })
        .orElse(otherwise);
  }

  /** A string, or strings; none without. */
  List<String> texts(String name) {
    List<String> texts = new ArrayList<>();
    get(name)
        .ifPresent(
            node -> {
              Iterable<JsonNode> each = node.isArray() ? node : List.of(node);
              for (JsonNode one : each) {
                require(one.isString(), name, "a string or a list of them", node);
                texts.add(one.stringValue());
              }
            });
    return texts;
  }

  static void require(boolean holds, String name, String expected, JsonNode found) {
    if (!holds) {
      throw ApiException.invalid(name, expected, shown(found));
    }
  }

  private static String shown(JsonNode found) {
    String text = found.toString();
    return text.length() > 60 ? text.substring(0, 60) + "…" : text;
  }
}
