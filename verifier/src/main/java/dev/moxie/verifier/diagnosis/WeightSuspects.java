package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Role;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * Weights of one part of a layer that are not what they are called, whatever they are for: in each
 * other's place, transposed, another layer's, or a factor too large.
 */
final class WeightSuspects {
  /** Larger square matrices are not transposed: all their elements are held in memory for that. */
  private static final int LARGEST_TRANSPOSED = 4096;

  private final Evidence evidence;
  private final int layer;
  private final String prefix;
  private final String part;
  private final List<IndexRow> rows;

  /**
   * Suspects of one part.
   *
   * @param part of canonical names within a layer, as in "attention"
   */
  WeightSuspects(Evidence evidence, int layer, String part) {
    this.evidence = evidence;
    this.layer = layer;
    this.prefix = "layers." + layer + ".";
    this.part = part;
    this.rows =
        evidence.pack().rows().stream()
            .filter(row -> row.kind() == IndexRow.Kind.TENSOR && row.role() != Role.SCALE)
            .filter(row -> row.name().startsWith(prefix + part + "."))
            .sorted((a, b) -> a.role().compareTo(b.role()))
            .toList();
  }

  /** Misplaced weights. */
  Stream<Suspect> misplaced() {
    List<Suspect> suspects = new ArrayList<>();
    Set<String> names = new LinkedHashSet<>();
    rows.forEach(row -> names.add(module(row.name())));
    List<String> modules = List.copyOf(names);
    for (int i = 0; i < modules.size(); i++) {
      for (int j = i + 1; j < modules.size(); j++) {
        swapped(modules.get(i), modules.get(j), suspects);
      }
    }
    for (IndexRow row : rows) {
      if (row.shape().rank() == 2
          && row.shape().dim(0) == row.shape().dim(1)
          && row.shape().dim(0) <= LARGEST_TRANSPOSED) {
        suspects.add(
            Suspect.of(
                row.name() + " transposed",
                evidence,
                (asked, stored) ->
                    asked.equals(row) ? stored.get(row).transposed() : stored.get(asked)));
      }
    }
    for (int other = 0; other < evidence.architecture().layers().size(); other++) {
      if (other != layer) {
        ofLayer(other, suspects);
      }
    }
    return suspects.stream();
  }

  /** A name without what comes last, as in "layers.1.attention.key."; sinks have but one. */
  private String module(String name) {
    String module = name.substring(0, name.lastIndexOf('.') + 1);
    return module.equals(prefix + part + ".") ? name + "." : module;
  }

  /** Everything of two modules, then what each alone is for. */
  private void swapped(String a, String b, List<Suspect> suspects) {
    List<IndexRow> both =
        rows.stream()
            .filter(row -> row.name().startsWith(a) || row.name().startsWith(b))
            .filter(row -> sameShape(row, Siblings.swap(row.name(), a, b)))
            .toList();
    String cause = brief(a) + " and " + brief(b) + " swapped" + place();
    if (!both.isEmpty()) {
      suspects.add(swapped(cause, both, name -> Siblings.swap(name, a, b)));
    }
    if (both.size() > 2) {
      for (String ending : List.of("weight", "bias")) {
        List<IndexRow> some = both.stream().filter(r -> r.name().endsWith(ending)).toList();
        suspects.add(swapped(ending + " of " + cause, some, name -> Siblings.swap(name, a, b)));
      }
    }
  }

  private String brief(String module) {
    return module.substring((prefix + part + ".").length(), module.length() - 1);
  }

  private String place() {
    return switch (part) {
      case "shared" -> " in the shared experts";
      case "dense" -> " in the dense network";
      default -> "";
    };
  }

  private Suspect swapped(String cause, List<IndexRow> which, UnaryOperator<String> rename) {
    return Suspect.of(
        cause,
        evidence,
        (row, stored) ->
            stored.get(which.contains(row) ? Siblings.renamed(evidence.pack(), row, rename) : row));
  }

  private boolean sameShape(IndexRow row, String other) {
    return find(other)
        .filter(o -> MoxiePackage.matrix(o).equals(MoxiePackage.matrix(row)))
        .isPresent();
  }

  private Optional<IndexRow> find(String name) {
    return evidence.pack().rows().stream()
        .filter(row -> row.kind() == IndexRow.Kind.TENSOR && row.name().equals(name))
        .findFirst();
  }

  /** The whole part of another layer, then each tensor. */
  private void ofLayer(int other, List<Suspect> suspects) {
    List<IndexRow> there =
        rows.stream()
            .filter(row -> sameShape(row, row.name().replace(prefix, "layers." + other + ".")))
            .toList();
    if (there.isEmpty()) {
      return;
    }
    String all = "layer %d with the %s of layer %d".formatted(layer, words(), other);
    if (there.size() == rows.size()) {
      suspects.add(ofLayer(all, there, other));
    }
    for (IndexRow row : there) {
      boolean named = row.name().equals(prefix + part + ".weight");
      String cause = named ? all : row.name() + " taken from layer " + other;
      suspects.add(ofLayer(cause, List.of(row), other));
    }
  }

  private String words() {
    return switch (part) {
      case "shared" -> "shared experts";
      case "dense" -> "dense network";
      default -> part;
    };
  }

  private Suspect ofLayer(String cause, List<IndexRow> which, int other) {
    return Suspect.of(
        cause,
        evidence,
        (row, stored) ->
            stored.get(which.contains(row) ? Siblings.ofLayer(evidence.pack(), row, other) : row));
  }

  /** Each tensor times a factor that is searched for. */
  Stream<Suspect> scaled(LayerInside inside, String step) {
    return rows.stream()
        .flatMap(
            row -> {
              double factor =
                  Fit.factor(
                      0.01,
                      100,
                      33,
                      f -> Difference.of(inside, evidence.oracle(times(row, f)), step));
              return Suspect.factor(row.name(), row.name(), factor, evidence);
            });
  }

  private Suspect times(IndexRow which, double factor) {
    return Suspect.of(
        "",
        evidence,
        (row, stored) -> row.equals(which) ? stored.get(row).times(factor) : stored.get(row));
  }
}
