package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Architecture.NormPlacement;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Weights of a layer, or beside the layers, that are not what they are called, whatever they are
 * for: in each other's place, transposed, another layer's.
 */
final class Exchanges {
  static final String EMBEDDING = "embedding.weight";
  static final String PATCHES = "image.patch.weight";
  private static final String POSITIONS = "image.position.weight";
  static final String HEAD = "head.weight";
  private static final String FINAL_NORM = "final_norm.weight";

  private static final Pattern ANY_NORM = Pattern.compile("layers\\..*_norm\\.weight");
  private static final Pattern BLOCK_NORM =
      Pattern.compile(
          "layers\\.\\d+\\.(again\\.)?(attention|feed_forward|dense|experts|router)(_output)?_norm\\.weight");

  /** Larger square matrices are not transposed: all their elements are held in memory for that. */
  private static final int LARGEST_TRANSPOSED = 4096;

  private final Evidence evidence;
  private final int layer;
  private final String prefix;

  Exchanges(Evidence evidence, int layer) {
    this.evidence = evidence;
    this.layer = layer;
    this.prefix = "layers." + layer + ".";
  }

  private Suspect exchange(String cause, UnaryOperator<IndexRow> other) {
    return Suspect.exchange(cause, evidence, other);
  }

  private Suspect exchange(String cause, Predicate<IndexRow> which, UnaryOperator<IndexRow> other) {
    return exchange(cause, row -> which.test(row) ? other.apply(row) : row);
  }

  private Suspect swapped(String cause, Predicate<IndexRow> which, String a, String b) {
    return exchange(
        cause,
        which,
        row -> Siblings.renamed(evidence.pack(), row, name -> Siblings.swap(name, a, b)));
  }

  /** Norms in each other's place, or one less or more than they are. */
  Stream<Suspect> norms() {
    List<String> own = blockNorms();
    List<Suspect> suspects = new ArrayList<>();
    for (int i = 0; i < own.size(); i++) {
      for (int j = i + 1; j < own.size(); j++) {
        swappedNorms(own.get(i), own.get(j), suspects);
      }
    }
    suspects.add(shifted("norm weights stored as differences from one", BLOCK_NORM, 1));
    suspects.add(shifted("norm weights stored as differences from one", ANY_NORM, 1));
    suspects.add(shifted("one added to norm weights", BLOCK_NORM, -1));
    suspects.add(shifted("one added to norm weights", ANY_NORM, -1));
    return suspects.stream();
  }

  /** What a layer does at first and what it does again in each other's place, part by part. */
  Stream<Suspect> again() {
    return Stream.of("attention_norm", "attention", "feed_forward_norm", "dense")
        .map(
            part -> {
              String first = prefix + part + ".";
              String again = prefix + "again." + part + ".";
              return swapped(
                  words(first + "weight") + " of the first and of the second time swapped",
                  row -> row.name().startsWith(first) || row.name().startsWith(again),
                  first,
                  again);
            });
  }

  /** Both vectors of two norms, where they have two, then each kind alone. */
  private void swappedNorms(String a, String b, List<Suspect> suspects) {
    String one = a.replaceFirst("weight$", "");
    String other = b.replaceFirst("weight$", "");
    String cause = words(a) + " and " + words(b) + " swapped";
    Predicate<IndexRow> both = row -> row.name().startsWith(one) || row.name().startsWith(other);
    suspects.add(swapped(cause, both, one, other));
    if (evidence.architecture().normBiases()) {
      for (String ending : List.of("weight", "bias")) {
        Predicate<IndexRow> alone = both.and(row -> row.name().endsWith(ending));
        suspects.add(swapped(ending + " of " + cause, alone, one, other));
      }
    }
  }

  /** The norms of the layer's halves, in the order in which they are computed. */
  private List<String> blockNorms() {
    return Tensors.ofForwardPass(evidence.architecture()).stream()
        .map(TensorSpec::name)
        .filter(name -> name.startsWith(prefix) && BLOCK_NORM.matcher(name).matches())
        .toList();
  }

  private String words(String norm) {
    String name = norm.substring(prefix.length(), norm.length() - ".weight".length());
    return name.replace("feed_forward", "feed-forward").replace('_', ' ');
  }

  /** The same norms, of what halves of layers make instead of what they read, or the reverse. */
  Stream<Suspect> placements() {
    Architecture own = evidence.architecture();
    if (own.normBiases()
        || own.attendsAgain()
        || own.streams() != null
        || own.encoder() != null
        || (own.normPlacement() != null && own.normPlacement() != NormPlacement.OUTPUT)) {
      return Stream.of();
    }
    boolean outputs = own.normPlacement() == null;
    Map<String, String> others = new HashMap<>();
    for (int i = 0; i < own.layers().size(); i++) {
      Architecture.Blocks block = own.layers().get(i);
      List<String> halves = new ArrayList<>();
      if (!(block.attention() instanceof Attention.None)) {
        halves.add("attention");
      }
      if (!(block.feedForward() instanceof FeedForward.None)) {
        halves.add("feed_forward");
      }
      for (String half : halves) {
        String name = "layers." + i + "." + half;
        others.put(
            name + (outputs ? "_output_norm" : "_norm") + ".weight",
            name + (outputs ? "_norm" : "_output_norm") + ".weight");
      }
    }
    return Stream.of(
        new Suspect(
            outputs
                ? "norms of what halves of a layer read instead of what they make"
                : "norms of what halves of a layer make instead of what they read",
            Parts.with(own, "normPlacement", outputs ? NormPlacement.OUTPUT : null),
            evidence.weights().named(others)));
  }

  private Suspect shifted(String cause, Pattern norms, double summand) {
    return Suspect.of(
        cause,
        evidence,
        row -> norms.matcher(row.name()).matches(),
        (row, stored) -> stored.get(row).plus(summand));
  }

  private IntStream otherLayers() {
    return IntStream.range(0, evidence.architecture().layers().size()).filter(l -> l != layer);
  }

  /** All weights of another layer like this one. */
  Stream<Suspect> wholeLayer() {
    var layers = evidence.architecture().layers();
    return otherLayers()
        .filter(other -> layers.get(other).equals(layers.get(layer)))
        .mapToObj(
            other ->
                exchange(
                    "layer %d with the weights of layer %d".formatted(layer, other),
                    row -> row.layer() != null && row.layer() == layer,
                    row -> Siblings.ofLayer(evidence.pack(), row, other)));
  }

  /** Embedding and head in each other's place, where there are both. */
  Stream<Suspect> ends() {
    Architecture own = evidence.architecture();
    return own.tiedEmbeddings() || own.image() != null
        ? Stream.of()
        : Stream.of(
            swapped(
                "embedding and head confused",
                row -> row.name().equals(EMBEDDING) || row.name().equals(HEAD),
                EMBEDDING,
                HEAD));
  }

  /** Rows of the embedding, or of an image's positions, that moved by one. */
  Stream<Suspect> movedEmbedding() {
    Architecture own = evidence.architecture();
    boolean image = own.image() != null;
    String table = image ? POSITIONS : EMBEDDING;
    String what = image ? "positions" : "the embedding";
    int rows = Math.toIntExact(image ? own.maxPositions() : own.vocabSize());
    return IntStream.of(1, -1)
        .mapToObj(
            by ->
                Suspect.of(
                    "rows of " + what + " moved " + (by > 0 ? "on" : "back") + " by one",
                    evidence,
                    row -> row.name().equals(table),
                    (row, stored) -> stored.get(row).reordered(r -> Math.floorMod(r + by, rows))));
  }

  /** Norms of this layer in the place of the final one. */
  Stream<Suspect> finalNorm() {
    return blockNorms().stream()
        .map(
            name ->
                exchange(
                    "final norm and " + name + " confused",
                    row -> row.name().equals(FINAL_NORM),
                    row -> evidence.pack().tensor(name)));
  }

  /**
   * Tensors of one part of the layer.
   *
   * @param part of canonical names within a layer, as in "attention"
   */
  List<IndexRow> rows(String part) {
    return evidence.pack().rows().stream()
        .filter(row -> row.kind() == IndexRow.Kind.TENSOR && row.role() != Role.SCALE)
        .filter(row -> row.name().startsWith(prefix + part + "."))
        .sorted((a, b) -> a.role().compareTo(b.role()))
        .toList();
  }

  /** Misplaced weights of one part. */
  Stream<Suspect> misplaced(String part) {
    List<IndexRow> rows = rows(part);
    List<Suspect> suspects = new ArrayList<>();
    Set<String> names = new LinkedHashSet<>();
    rows.forEach(row -> names.add(module(part, row.name())));
    List<String> modules = List.copyOf(names);
    for (int i = 0; i < modules.size(); i++) {
      for (int j = i + 1; j < modules.size(); j++) {
        swappedModules(part, rows, modules.get(i), modules.get(j), suspects);
      }
    }
    rows.stream()
        .filter(row -> isSquare(row) && row.shape().dim(0) <= LARGEST_TRANSPOSED)
        .map(
            row ->
                Suspect.of(
                    row.name() + " transposed",
                    evidence,
                    row::equals,
                    (asked, stored) -> stored.get(asked).transposed()))
        .forEach(suspects::add);
    otherLayers().forEach(other -> ofLayer(part, rows, other, suspects));
    return suspects.stream();
  }

  /** Whether rows and columns are as many. */
  static boolean isSquare(IndexRow row) {
    return row.shape().rank() == 2 && row.shape().dim(0) == row.shape().dim(1);
  }

  /** A name without what comes last, as in "layers.1.attention.key."; sinks have but one. */
  private String module(String part, String name) {
    String module = name.substring(0, name.lastIndexOf('.') + 1);
    return module.equals(prefix + part + ".") ? name + "." : module;
  }

  /** Everything of two modules, then what each alone is for. */
  private void swappedModules(
      String part, List<IndexRow> rows, String a, String b, List<Suspect> suspects) {
    List<IndexRow> both =
        rows.stream()
            .filter(row -> row.name().startsWith(a) || row.name().startsWith(b))
            .filter(row -> sameShape(row, Siblings.swap(row.name(), a, b)))
            .toList();
    String place =
        switch (part) {
          case "shared" -> " in the shared experts";
          case "dense" -> " in the dense network";
          default -> "";
        };
    String cause = brief(part, a) + " and " + brief(part, b) + " swapped" + place;
    if (!both.isEmpty()) {
      suspects.add(swapped(cause, both::contains, a, b));
    }
    if (both.size() > 2) {
      for (String ending : List.of("weight", "bias")) {
        suspects.add(
            swapped(
                ending + " of " + cause,
                row -> row.name().endsWith(ending) && both.contains(row),
                a,
                b));
      }
    }
  }

  private String brief(String part, String module) {
    return module.substring((prefix + part + ".").length(), module.length() - 1);
  }

  private boolean sameShape(IndexRow row, String other) {
    return evidence.pack().rows().stream()
        .filter(o -> o.kind() == IndexRow.Kind.TENSOR && o.name().equals(other))
        .anyMatch(o -> MoxiePackage.matrix(o).equals(MoxiePackage.matrix(row)));
  }

  /** The whole part of another layer, then each tensor. */
  private void ofLayer(String part, List<IndexRow> rows, int other, List<Suspect> suspects) {
    List<IndexRow> there =
        rows.stream()
            .filter(row -> sameShape(row, row.name().replace(prefix, "layers." + other + ".")))
            .toList();
    String words =
        switch (part) {
          case "shared" -> "shared experts";
          case "dense" -> "dense network";
          case "layer" -> "factor";
          default -> part;
        };
    String all = "layer %d with the %s of layer %d".formatted(layer, words, other);
    UnaryOperator<IndexRow> from = row -> Siblings.ofLayer(evidence.pack(), row, other);
    if (!there.isEmpty() && there.size() == rows.size()) {
      suspects.add(exchange(all, there::contains, from));
    }
    for (IndexRow row : there) {
      boolean named = row.name().equals(prefix + part + ".weight");
      String cause = named ? all : row.name() + " taken from layer " + other;
      suspects.add(exchange(cause, row::equals, from));
    }
  }
}
