package dev.moxie.format.pack;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.TooNewException;
import tools.jackson.databind.JsonNode;

/**
 * Whether JSON says, to the letter, what was understood of it. A mapper is generous: it trims the
 * names of values, for instance. What two readers may take for different things is refused
 * (SPEC.md, rules M4 and M5).
 */
final class JsonEcho {
  private final String where;
  private final boolean lenient;

  private JsonEcho(String where, boolean lenient) {
    this.where = where;
    this.lenient = lenient;
  }

  /**
   * Compares.
   *
   * @param understood what the mapper would write of it
   * @param lenient whether objects may have members that were not understood, those of the
   *     architecture aside, and words that are not to the letter ours are those of a later version
   */
  static void require(String where, JsonNode given, JsonNode understood, boolean lenient) {
    new JsonEcho(where, lenient).require("", given, understood);
  }

  private void require(String path, JsonNode given, JsonNode understood) {
    if (understood.isObject() && given.isObject()) {
      understood
          .properties()
          .forEach(
              member -> {
                String at = at(path, member.getKey());
                JsonNode value = given.get(member.getKey());
                if (value == null) {
                  throw differs(at, member.getValue().toString(), "none");
                }
                require(at, value, member.getValue());
              });
      if (!lenient || path.startsWith("architecture")) {
        given.properties().stream()
            .filter(member -> !understood.has(member.getKey()))
            .forEach(
                member -> {
                  String found = member.getValue().toString();
                  throw differs(at(path, member.getKey()), "none", found);
                });
      }
    } else if (understood.isArray() && given.isArray() && given.size() == understood.size()) {
      for (int i = 0; i < given.size(); i++) {
        require(path + "[" + i + "]", given.get(i), understood.get(i));
      }
    } else if (given.isString() && isBroken(given.stringValue())) {
      throw new CorruptException(
          where + " at " + path,
          "Unicode text",
          "half of a surrogate pair in it",
          "the manifest is damaged or hand-edited, restore it or convert again");
    } else if (lenient && understood.isString() && given.isString() && !given.equals(understood)) {
      throw new TooNewException(
          where + " at " + path, understood.toString(), given.toString(), "update Moxie");
    } else if (!isSame(given, understood)) {
      throw differs(path, understood.toString(), given.toString());
    }
  }

  private static String at(String path, String member) {
    return path.isEmpty() ? member : path + "." + member;
  }

  private static boolean isBroken(String text) {
    return text.codePoints()
        .anyMatch(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE);
  }

  private static boolean isSame(JsonNode given, JsonNode understood) {
    if (understood.isIntegralNumber()) {
      return given.isIntegralNumber()
          && given.bigIntegerValue().equals(understood.bigIntegerValue());
    }
    return understood.isNumber()
        ? given.isNumber() && given.doubleValue() == understood.doubleValue()
        : given.equals(understood);
  }

  private CorruptException differs(String path, String understood, String found) {
    return new CorruptException(
        where + " at " + path,
        understood,
        found,
        "the manifest is damaged or hand-edited, restore it or convert again");
  }
}
