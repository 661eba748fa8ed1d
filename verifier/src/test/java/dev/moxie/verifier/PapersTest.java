package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.blocks;
import static dev.moxie.verifier.WrongPlans.drops;
import static dev.moxie.verifier.WrongPlans.experts;
import static dev.moxie.verifier.WrongPlans.grouped;
import static dev.moxie.verifier.WrongPlans.leaves;
import static dev.moxie.verifier.WrongPlans.rebuilt;
import static dev.moxie.verifier.WrongPlans.routing;
import static dev.moxie.verifier.WrongPlans.swap;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Routing.Drops.Order;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Systems known from papers alone: equations written from those find every planted defect. */
@Exhaustive
class PapersTest {
  /** Defects of a system that must be found. */
  private static final int LEAST = 8;

  @TempDir Path folder;

  static List<Path> checkpoints() {
    return Fixtures.papers();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void theReferenceAloneFindsEveryDefect(Path checkpoint) {
    Path right = Packages.convert(checkpoint, folder.resolve("p"));
    List<Path> traces = Fixtures.traces(checkpoint);
    assertEquals(Verdict.PASS, WhetherFound.by(traces, right));
    Map<String, UnaryOperator<ConversionPlan>> defects = new LinkedHashMap<>(ofWeights());
    try (MoxiePackage pack = MoxiePackage.open(right)) {
      defects.putAll(ofModel(pack.architecture()));
      pack.architecture().layers().forEach(layer -> defects.putAll(ofLayer(layer)));
    }
    assertTrue(defects.size() >= LEAST, defects.keySet()::toString);
    defects.forEach(
        (name, defect) -> {
          Path target = Packages.convert(checkpoint, folder.resolve(name), defect);
          assertEquals(Verdict.FAIL, WhetherFound.by(traces, target), name);
        });
  }

  /** Rows of two tasks in each other's place. */
  @ParameterizedTest
  @ValueSource(
      strings = {"layers.1.moe.gate.weight", "towers.weight", "towers.bias", "head.weight"})
  void theReferenceAloneFindsWhatIsOfAnotherTask(String tensor) throws IOException {
    Path checkpoint = Fixtures.root().resolve("papers/mmoe");
    Path wrong =
        DamagedCheckpoint.copy(
            checkpoint,
            folder.resolve("wrong"),
            DamagedCheckpoint.values(
                tensor::equals, (i, old) -> old[(i + old.length / 2) % old.length]));
    Path target = Packages.convert(wrong, folder.resolve("p"));
    assertEquals(Verdict.FAIL, WhetherFound.by(Fixtures.traces(checkpoint), target));
  }

  /** Each task weighs them by numbers of its own, and what they make for one is no sum of all. */
  @Test
  void expertsThatTasksShareAreNamedWhereTheyAreSwapped() {
    Path checkpoint = Fixtures.root().resolve("papers/mmoe");
    Path target =
        Packages.convert(
            checkpoint, folder.resolve("p"), leaves(n -> swap(n, ".experts.0.", ".experts.1.")));
    Report report =
        Verifier.verify(target, null, Fixtures.traces(checkpoint), Execution.of(Device.CPU));
    String said = report.references().getFirst().diagnosis().toString();
    assertTrue(said.contains("experts 0 and 1 swapped"), said);
  }

  private static Map<String, UnaryOperator<ConversionPlan>> ofWeights() {
    return Map.of(
        "experts swapped",
        leaves(n -> n.startsWith("layers.1.") ? swap(n, ".experts.0.", ".experts.1.") : n),
        "key and value swapped",
        leaves(n -> swap(n, ".attention.key.", ".attention.value.")),
        "norms of halves swapped",
        leaves(n -> swap(n, ".attention_norm.", ".feed_forward_norm.")),
        "queries of another layer",
        leaves(n -> n.contains(".attention.query.") ? swap(n, "layers.0.", "layers.1.") : n));
  }

  private static Map<String, UnaryOperator<ConversionPlan>> ofModel(Architecture model) {
    Map<String, UnaryOperator<ConversionPlan>> defects = new LinkedHashMap<>();
    defects.put("scores twice as large", blocks(b -> WrongPlans.withScale(b, s -> 2 * s)));
    if (model.positions() != null) {
      int second = model.positions().first() + 1;
      defects.put(
          "positions off by one",
          rebuilt(a -> Parts.with(a, "positions", Parts.with(a.positions(), "first", second))));
    }
    if (model.image() != null) {
      defects.put(
          "class and a bias swapped",
          leaves(n -> swap(n, "image.class", "layers.0.attention_norm.bias")));
      defects.put(
          "biases of norms swapped",
          leaves(n -> swap(n, ".attention_norm.bias", ".feed_forward_norm.bias")));
      defects.put(
          "experts' biases swapped",
          leaves(n -> n.endsWith(".down.bias") ? swap(n, ".experts.0.", ".experts.1.") : n));
      defects.put(
          "biases of another layer",
          leaves(n -> n.endsWith(".value.bias") ? swap(n, "layers.0.", "layers.1.") : n));
      defects.put("another epsilon", rebuilt(a -> a.withNormEpsilon(1e-2)));
      defects.put("norms not centred", rebuilt(a -> Parts.with(a, "centredNorms", false)));
    }
    if (model.multipliers() != null) {
      defects.put(
          "embeddings as they are stored", rebuilt(a -> Parts.with(a, "multipliers", null)));
    }
    return defects;
  }

  private static Map<String, UnaryOperator<ConversionPlan>> ofLayer(Architecture.Blocks layer) {
    Map<String, UnaryOperator<ConversionPlan>> defects = new LinkedHashMap<>();
    if (layer.attention() instanceof Attention.GroupedQuery a && a.distances() != null) {
      defects.put("distances alike sooner", grouped(PapersTest::nearer));
      defects.put(
          "distances of another layer",
          leaves(n -> n.endsWith(".distances") ? swap(n, "layers.0.", "layers.1.") : n));
    }
    if (layer.feedForward() instanceof FeedForward.MixtureOfExperts m) {
      defects.put(
          "another activation",
          experts(e -> Parts.with(e, "activation", FeedForward.Activation.SILU)));
      defects.putAll(ofRouting(m.routing()));
      if (m.byTask()) {
        defects.put(
            "what experts make added to what there was",
            blocks(b -> Parts.with(b, "feedForwardResidual", null)));
      } else if (m.routing().prototypes() > 0) {
        defects.put("one set of experts", routing(r -> r.withPrototypes(0)));
      }
      if (m.shared() != null) {
        defects.put("experts alone", leaving(e -> e.withoutShared()));
        defects.put(
            "added instead of mixed",
            leaving(e -> Parts.with(e, "shared", Parts.with(e.shared(), "mixed", false))));
        defects.put(
            "mixed as in another layer",
            leaves(n -> n.contains(".mix.") ? swap(n, "layers.1.", "layers.3.") : n));
      }
    }
    return defects;
  }

  private static Map<String, UnaryOperator<ConversionPlan>> ofRouting(Routing own) {
    Map<String, UnaryOperator<ConversionPlan>> defects = new LinkedHashMap<>();
    defects.put("weights a tenth larger", routing(r -> r.withScale(1.1 * r.scale())));
    if (own.score() == Routing.Score.SOFTMAX && own.hierarchy() == null) {
      defects.put("scores by sigmoid", routing(r -> r.withScore(Routing.Score.SIGMOID)));
    }
    if (own.hierarchy() != null) {
      defects.put(
          "another number of groups",
          routing(
              r ->
                  Parts.with(
                      r, "hierarchy", Parts.with(r.hierarchy(), "kept", r.expertsPerToken()))));
      defects.put(
          "the primary gate of another layer",
          leaves(n -> n.contains("router.primary.") ? swap(n, "layers.1.", "layers.3.") : n));
      defects.put(
          "one gate", leaving(e -> e.withRouting(Parts.with(e.routing(), "hierarchy", null))));
    }
    if (own.assigned()) {
      defects.put("the table of another layer", leaves(PapersTest::otherTable));
    }
    if (own.cosine() != null) {
      defects.put(
          "cosines held sooner",
          routing(r -> Parts.with(r, "cosine", Parts.with(r.cosine(), "most", 1.5))));
      defects.put(
          "the projection of another layer",
          leaves(n -> n.contains("router.projection.") ? swap(n, "layers.1.", "layers.3.") : n));
      defects.put(
          "the temperature of another layer",
          leaves(n -> n.endsWith("router.temperature") ? swap(n, "layers.1.", "layers.3.") : n));
    }
    if (own.drops() != null && own.drops().least() != null) {
      defects.put("no least capacity", drops(d -> Parts.with(d, "least", null)));
    }
    if (own.normalisation() != null) {
      defects.put("weights not normalised", routing(r -> r.withNormalisation(null)));
    }
    if (own.drops() != null) {
      defects.put("nothing dropped", routing(r -> r.withDrops(null)));
      defects.put(
          "half the capacity",
          drops(
              d ->
                  d.tokens() == null
                      ? Parts.with(d, "fraction", Objects.requireNonNull(d.fraction()) / 2)
                      : Parts.with(d, "tokens", d.tokens() / 2)));
    }
    if (own.drops() != null && own.drops().order() == Order.CHOICE_THEN_SCORE) {
      defects.put(
          "dropped by position", drops(d -> Parts.with(d, "order", Order.CHOICE_THEN_POSITION)));
    }
    if (own.drops() != null && own.normalisation() != null) {
      defects.put(
          "weights divided once choices are dropped",
          routing(
              r ->
                  r.withNormalisation(new Routing.Normalisation(0, 1e-7))
                      .withDrops(Parts.with(r.drops(), "afterNormalisation", false))));
    }
    return defects;
  }

  /** Experts that lack something, and no tensors of it. */
  private static UnaryOperator<ConversionPlan> leaving(
      UnaryOperator<FeedForward.MixtureOfExperts> change) {
    return plan -> WrongPlans.without(experts(change).apply(plan));
  }

  private static String otherTable(String name) {
    return name.endsWith("router.table") ? swap(name, "layers.1.", "layers.2.") : name;
  }

  private static Attention.GroupedQuery nearer(Attention.GroupedQuery attention) {
    Attention.Distances own = Objects.requireNonNull(attention.distances());
    return Parts.with(
        attention, "distances", Parts.with(own, "farthest", Math.max(own.buckets(), 12)));
  }

  /** By a reference alone. */
}
