package dev.moxie.cli;

import dev.moxie.converter.family.Evidence;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.Key;
import dev.moxie.converter.family.Keys;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.text.Lines;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** What families make of the keys of config.json, for people, pages and programs. */
final class KeyTable {
  private static final int NAME_WIDTH = 38;

  private KeyTable() {}

  /** Below the card of a family. */
  static void add(Lines lines, Family family) {
    lines.add("  keys of config.json that count");
    for (Key<?> key : family.keys().read().values()) {
      lines.add("    %-" + NAME_WIDTH + "s %s: %s", spellings(key, ""), key.meaning(), key.rule());
    }
    if (!family.neutral().isEmpty()) {
      lines.add("  keys that change nothing in this family");
    }
    for (Keys.Neutral neutral : family.neutral()) {
      for (String name : neutral.names()) {
        lines.add("    %-" + NAME_WIDTH + "s %s", name, neutral.reason());
      }
    }
    lines.add(
        "  every other key is refused, unless it says nothing in any family: those of training,"
            + " saving and generating");
  }

  private static String spellings(Key<?> key, String quote) {
    return key.names().isEmpty()
        ? "(" + key.id() + ")"
        : key.names().stream().map(name -> quote + name + quote).collect(Collectors.joining(", "));
  }

  /** For programs. */
  static ObjectNode json(Evidence evidence) {
    ObjectNode json = StrictJson.mapper(false).valueToTree(evidence);
    Family family = evidence.of();
    ArrayNode read = json.putArray("keys");
    for (Key<?> key : family.keys().read().values()) {
      ObjectNode entry = read.addObject();
      entry.putPOJO("names", key.names());
      entry.put("meaning", key.meaning());
      entry.put("values", key.values());
      entry.put("required", key.required());
      entry.set("default", StrictJson.mapper(false).valueToTree(key.otherwise()));
      entry.set("only", StrictJson.mapper(false).valueToTree(key.only()));
    }
    ArrayNode neutral = json.putArray("neutral");
    for (Keys.Neutral some : family.neutral()) {
      for (String name : some.names()) {
        neutral.addObject().put("name", name).put("reason", some.reason());
      }
    }
    return json;
  }

  /** Of all families, each key once for each way of reading it. */
  static String markdown() {
    Map<String, List<String>> rows = new TreeMap<>();
    for (Family family : Families.ALL) {
      for (Key<?> key : family.keys().read().values()) {
        add(rows, spellings(key, "`"), key.meaning() + " | " + key.rule(), family);
      }
      for (Keys.Neutral neutral : family.neutral()) {
        for (String name : neutral.names()) {
          add(rows, "`" + name + "`", neutral.reason() + " | any, without effect", family);
        }
      }
    }
    var lines = new Lines();
    lines.add("| key | what it says | values | families |");
    lines.add("|---|---|---|---|");
    rows.forEach((row, families) -> lines.add("| %s | %s |", row, words(families)));
    return lines.toString();
  }

  private static void add(
      Map<String, List<String>> rows, String names, String rest, Family family) {
    rows.computeIfAbsent(names + " | " + rest, row -> new ArrayList<>()).add(family.name());
  }

  private static String words(List<String> families) {
    return families.size() == Families.ALL.size() ? "all" : String.join(", ", families);
  }
}
