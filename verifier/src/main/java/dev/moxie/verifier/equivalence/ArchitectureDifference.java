package dev.moxie.verifier.equivalence;

import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/** The members in which two architectures differ, as the manifest names them. */
final class ArchitectureDifference {
  private ArchitectureDifference() {}

  static String describe(Architecture expected, Architecture found) {
    List<String> differences = new ArrayList<>();
    var mapper = StrictJson.mapper(false);
    compare("", mapper.valueToTree(expected), mapper.valueToTree(found), differences);
    return String.join(", ", differences);
  }

  private static void compare(
      String path, JsonNode expected, JsonNode found, List<String> differences) {
    if (expected.isObject() && found.isObject()) {
      for (String name : expected.propertyNames()) {
        compare(path + "." + name, expected.path(name), found.path(name), differences);
      }
    } else if (expected.isArray() && found.isArray() && expected.size() == found.size()) {
      for (int i = 0; i < expected.size(); i++) {
        compare(path + "[" + i + "]", expected.get(i), found.get(i), differences);
      }
    } else if (!expected.equals(found)) {
      differences.add(path.substring(1) + " " + found + " for " + expected);
    }
  }
}
