package dev.moxie.converter.family;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import tools.jackson.databind.node.ObjectNode;

/** What a family's table says of its keys is so. */
class KeysTest {
  static final List<Family> FAMILIES = Families.ALL;

  private static final Map<String, String> POSITIONS =
      Map.of("rope_parameters", "rope_scaling", "rope_scaling", "rope_parameters");

  @ParameterizedTest
  @FieldSource("FAMILIES")
  void noKeyHasTwoMeanings(Family family) {
    List<String> names = family.keys().names().toList();
    assertEquals(names.size(), Set.copyOf(names).size(), names.toString());
  }

  /**
   * What nobody reads may hold anything: every key counts in one of the family's models at least.
   */
  @ParameterizedTest
  @FieldSource("FAMILIES")
  void everyKeyThatCountsIsRead(Family family) throws IOException {
    List<String> unread = new ArrayList<>();
    List<ObjectNode> models = models(family);
    String prefix = prefix(family);
    for (Key<?> key : family.keys().read().values()) {
      for (String name : key.names().stream().map(prefix::concat).toList()) {
        if (models.stream().noneMatch(model -> isRead(model, name))) {
          unread.add(name);
        }
      }
    }
    assertEquals(List.of(), unread);
  }

  @ParameterizedTest
  @FieldSource("FAMILIES")
  void aNeutralKeyMayHoldAnything(Family family) throws IOException {
    ObjectNode model = models(family).getFirst();
    Family.Description plain = describe(model);
    for (Keys.Neutral neutral : family.keys().neutral()) {
      for (String name : neutral.names()) {
        assertEquals(plain, describe(with(model, prefix(family) + name)), name);
      }
    }
  }

  private static String prefix(Family family) {
    return family.isAlwaysWithin() ? Composite.TEXT + "." : "";
  }

  private static boolean isRead(ObjectNode model, String name) {
    try {
      describe(with(model, name));
      return false;
    } catch (InvalidInputException e) {
      return String.valueOf(e.getMessage()).contains(name.replaceFirst(".*\\.", ""));
    }
  }

  /** With what no key holds as the value of one. */
  private static ObjectNode with(ObjectNode model, String name) {
    ObjectNode changed = model.deepCopy();
    String[] path = name.split("\\.", -1);
    ObjectNode object = changed;
    for (int i = 0; i < path.length - 1; i++) {
      if (!object.path(path[i]).isObject()) {
        // Positions are declared once, in either object.
        if (object.remove(POSITIONS.getOrDefault(path[i], "")) instanceof ObjectNode declared) {
          object.set(path[i], declared);
        } else {
          object.putObject(path[i]).put("rope_type", "default");
        }
      }
      object = (ObjectNode) object.get(path[i]);
    }
    object.putArray(path[path.length - 1]).add(0.5);
    return changed;
  }

  private static Family.Description describe(ObjectNode json) {
    Config config = Config.parse("config.json", json.toString().getBytes(StandardCharsets.UTF_8));
    return Families.of(config).describe(config);
  }

  /** Fixtures, and one with windows and with layers without experts. */
  private static List<ObjectNode> models(Family family) throws IOException {
    List<ObjectNode> models = new ArrayList<>();
    try (Stream<Path> files = Files.walk(Fixtures.root(), 3)) {
      for (Path file :
          files
              .filter(file -> file.endsWith("config.json") || file.getParent().endsWith("configs"))
              .filter(file -> !Fixtures.root().relativize(file).startsWith("target"))
              .sorted()
              .toList()) {
        ObjectNode json = StrictJson.readObject(file);
        if (family.modelTypes().contains(json.path("model_type").asString())) {
          // Within another model it may be an object.
          boolean alone = !family.isAlwaysWithin();
          models.add(alone && json.path("text_config") instanceof ObjectNode text ? text : json);
        }
      }
    }
    ObjectNode other = models.getFirst().deepCopy();
    other.put("use_sliding_window", true).put("sliding_window", 8);
    other.put("decoder_sparse_step", 2).put("intermediate_size", 64);
    models.add(other);
    return models;
  }
}
