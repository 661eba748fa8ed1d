package dev.moxie.format.pack;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.networknt.schema.InputFormat;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import dev.moxie.format.Some;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Schema and reader say the same of a manifest's shape, at each of its members. */
class ManifestSchemaTest {
  /** What a schema cannot say: how members, files and index agree. */
  private static final Pattern BEYOND_A_SCHEMA =
      Pattern.compile(
          "sorted by their bytes|divisor of|groups that hold|expected 1 to [23], |at most"
              + " headSize|headerBytes ≤|a path of its own|what lies in source|an entry for"
              + " tensors.arrow|among the files|a header that model|the experts of the smallest"
              + " layer|kept where the architecture|layers: expected|groups of two|beside a"
              + " bias|finite number|at least lowFrequency|none where all of them are 1|one of it"
              + " and rotary");

  @TempDir Path folder;
  private final List<String> disagreements = new ArrayList<>();
  private Schema schema;

  @Test
  void whatTheSchemaRefusesTheReaderRefusesAndTheOtherWayRound() throws IOException {
    schema =
        SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12)
            .getSchema(Files.readString(Path.of("moxie.schema.json")), InputFormat.JSON);
    TinyPackage.writeLatent(folder.resolve("q"));
    ConformanceVectors.stored(
        folder.resolve("r"), TinyPackage.ARCHITECTURE, TinyPackage.Stored.CAST);
    PartsVectors.write(folder.resolve("s"));
    int compared = 0;
    for (String name : List.of("q", "r", "s")) {
      ObjectNode manifest =
          StrictJson.readObject(folder.resolve(name).resolve(PackagePaths.MANIFEST));
      List<Consumer<ObjectNode>> changes = new ArrayList<>();
      changes(manifest, root -> root, changes);
      compare(name + " as it is", manifest);
      for (int i : Some.of(changes.size()).toArray()) {
        ObjectNode changed = manifest.deepCopy();
        changes.get(i).accept(changed);
        compare(name, changed);
        compared++;
      }
    }
    assertEquals(List.of(), disagreements);
    assertTrue(compared > 1500 / Some.SHARE, compared + " manifests");
  }

  private interface Place {
    JsonNode in(ObjectNode root);
  }

  /** Every member of every object is taken away and given other values, and one is added. */
  private static void changes(JsonNode node, Place place, List<Consumer<ObjectNode>> changes) {
    if (node instanceof ObjectNode object) {
      changes.add(root -> ((ObjectNode) place.in(root)).put("colour", "red"));
      for (String name : object.propertyNames()) {
        if (!name.equals("sha256") || object.size() < 5) {
          changes.add(root -> ((ObjectNode) place.in(root)).remove(name));
          for (JsonNode value : values(object.get(name))) {
            changes.add(root -> ((ObjectNode) place.in(root)).set(name, value));
          }
          changes(object.get(name), root -> place.in(root).get(name), changes);
        }
      }
    } else if (node instanceof ArrayNode array) {
      for (int i = 0; i < array.size(); i++) {
        int at = i;
        for (JsonNode value : values(array.get(i))) {
          changes.add(root -> ((ArrayNode) place.in(root)).set(at, value));
        }
        changes(array.get(i), root -> place.in(root).get(at), changes);
      }
    }
  }

  private static List<JsonNode> values(JsonNode now) {
    String padded = now.isString() ? "\" " + now.stringValue() + "\"" : "\" 1\"";
    return Stream.of(
            "null",
            "true",
            "\"x\"",
            "\"\"",
            "-1",
            "0",
            "3",
            "1.5",
            "65537",
            "9223372036854775808",
            "[]",
            "{}",
            "[\"../x\"]",
            "\"../x\"",
            padded)
        .map(StrictJson.mapper(false)::readTree)
        .toList();
  }

  private void compare(String name, ObjectNode manifest) throws IOException {
    if (manifest.path("version").path("minor").asInt(0) > 0) {
      return; // Of which the schema of version 1.0 says nothing.
    }
    String json = manifest.toString();
    boolean valid = schema.validate(json, InputFormat.JSON).isEmpty();
    Optional<String> refusal = refusal(manifest);
    boolean agree =
        valid
            ? refusal.filter(m -> !BEYOND_A_SCHEMA.matcher(m).find()).isEmpty()
            : refusal.isPresent();
    if (!agree) {
      disagreements.add(
          name + ": the schema says " + valid + ", the reader " + refusal.orElse("fine: " + json));
    }
  }

  private Optional<String> refusal(ObjectNode manifest) throws IOException {
    ObjectNode sealed = manifest.deepCopy();
    sealed.remove("sha256");
    String text = sealed.toString();
    String body = text.substring(0, text.length() - 1) + ",\n";
    Path file = folder.resolve("changed.json");
    String digest = Digests.sha256(body.getBytes(StandardCharsets.UTF_8));
    Files.writeString(file, body + "  \"sha256\" : \"" + digest + "\"\n}\n");
    try {
      ManifestFile.read(file);
      return Optional.empty();
    } catch (InvalidInputException e) {
      return Optional.of(e.getMessage());
    }
  }
}
