package dev.moxie.verifier.diff;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Symbols;
import dev.moxie.format.pack.Manifest;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Architectures, layouts and origins, compared. */
final class Structure {
  /** Our own records have all their members: one that is null says that there is none. */
  private static final JsonMapper MAPPER =
      StrictJson.mapper(false)
          .rebuild()
          .changeDefaultPropertyInclusion(
              inclusion -> inclusion.withValueInclusion(JsonInclude.Include.NON_NULL))
          .build();

  private static final String BLOCKS = "blocks";

  private Structure() {}

  /**
   * The members in which two forward passes differ; layers that differ alike share a line. One that
   * is understood is not called the same as one that is not.
   */
  static List<Diff.Change> architecture(@Nullable Architecture a, @Nullable Architecture b) {
    if (a == null || b == null) {
      List<Diff.Change> changes = new ArrayList<>();
      addIfOther(changes, "understood", a != null, b != null);
      return changes;
    }
    if (a.equals(b)) {
      return List.of();
    }
    List<Architecture.Blocks> layersOfA = a.layers();
    List<Architecture.Blocks> layersOfB = b.layers();
    List<Diff.Change> changes = new ArrayList<>();
    if (layersOfA.size() != layersOfB.size()) {
      changes.add(change("layers", layersOfA.size(), layersOfB.size()));
    }
    changes.addAll(JsonChanges.of("", without(BLOCKS, a), without(BLOCKS, b)));
    Map<Diff.Change, List<Integer>> layersOf = new LinkedHashMap<>();
    for (int i = 0; i < Math.min(layersOfA.size(), layersOfB.size()); i++) {
      for (Diff.Change change : layer(a, layersOfA.get(i), b, layersOfB.get(i))) {
        layersOf.computeIfAbsent(change, key -> new ArrayList<>()).add(i);
      }
    }
    layersOf.forEach(
        (change, layers) ->
            changes.add(
                new Diff.Change(runs(layers) + ": " + change.what(), change.a(), change.b())));
    return changes;
  }

  private static List<Diff.Change> layer(
      Architecture modelA, Architecture.Blocks a, Architecture modelB, Architecture.Blocks b) {
    List<Diff.Change> changes = new ArrayList<>();
    if (a.feedForward() instanceof FeedForward.MixtureOfExperts ofA
        && b.feedForward() instanceof FeedForward.MixtureOfExperts ofB) {
      addIfOther(
          changes,
          "routing",
          String.join("\n", Symbols.mixture(modelA, ofA)),
          String.join("\n", Symbols.mixture(modelB, ofB)));
    }
    changes.addAll(JsonChanges.of("", without("count", a), without("count", b)));
    return changes;
  }

  private static ObjectNode without(String member, Object value) {
    ObjectNode tree = MAPPER.valueToTree(value);
    tree.remove(member);
    return tree;
  }

  /** Ascending numbers, as in "layers 0-3, 7". */
  private static String runs(List<Integer> numbers) {
    var text = new StringBuilder(numbers.size() == 1 ? "layer" : "layers");
    String separator = " ";
    for (int i = 0; i < numbers.size(); i++) {
      int first = i;
      while (i + 1 < numbers.size() && numbers.get(i + 1) == numbers.get(i) + 1) {
        i++;
      }
      text.append(separator).append(numbers.get(first));
      if (i > first) {
        text.append('-').append(numbers.get(i));
      }
      separator = ", ";
    }
    return text.toString();
  }

  /** How differently the same weights may be stored. */
  static List<Diff.Change> layout(Side a, Side b) {
    List<Diff.Change> changes = new ArrayList<>();
    Diff.Model ofA = a.model();
    Diff.Model ofB = b.model();
    addIfOther(changes, "kind", ofA.kind(), ofB.kind());
    addIfOther(changes, "weight files", ofA.files(), ofB.files());
    addIfOther(changes, "tensors in them", ofA.tensors(), ofB.tensors());
    addIfOther(changes, "bytes", ofA.bytes(), ofB.bytes());
    Manifest manifestOfA = a.manifest();
    Manifest manifestOfB = b.manifest();
    if (manifestOfA != null && manifestOfB != null) {
      changes.addAll(JsonChanges.of("", tree(manifestOfA.layout()), tree(manifestOfB.layout())));
    }
    return changes;
  }

  /** What two packages say of where they came from and what wrote them. */
  static List<Diff.Change> provenance(Side a, Side b) {
    Manifest ofA = a.manifest();
    Manifest ofB = b.manifest();
    if (ofA == null || ofB == null) {
      return List.of();
    }
    List<Diff.Change> changes =
        new ArrayList<>(
            JsonChanges.of("provenance", tree(ofA.provenance()), tree(ofB.provenance())));
    changes.addAll(JsonChanges.of("producer", tree(ofA.producer()), tree(ofB.producer())));
    changes.addAll(JsonChanges.of("version", tree(ofA.version()), tree(ofB.version())));
    return changes;
  }

  private static JsonNode tree(Object value) {
    return MAPPER.valueToTree(value);
  }

  private static void addIfOther(List<Diff.Change> changes, String what, Object a, Object b) {
    if (!Objects.equals(a, b)) {
      changes.add(change(what, a, b));
    }
  }

  private static Diff.Change change(String what, Object a, Object b) {
    return new Diff.Change(what, a.toString(), b.toString());
  }
}
