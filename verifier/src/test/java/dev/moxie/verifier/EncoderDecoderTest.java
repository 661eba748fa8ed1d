package dev.moxie.verifier;

import static dev.moxie.verifier.WrongPlans.blocks;
import static dev.moxie.verifier.WrongPlans.drops;
import static dev.moxie.verifier.WrongPlans.experts;
import static dev.moxie.verifier.WrongPlans.leaves;
import static dev.moxie.verifier.WrongPlans.rebuilt;
import static dev.moxie.verifier.WrongPlans.routing;
import static dev.moxie.verifier.WrongPlans.swap;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.TextReport;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.DecisionFiles;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Models with an encoder, whose experts drop tokens: what is wrong is found, what is right not. */
@Exhaustive
class EncoderDecoderTest {
  /** Defects of a family that must be found. */
  private static final int LEAST = 12;

  @TempDir Path folder;

  static List<Path> checkpoints() {
    return Fixtures.encoders();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void whatExpertsDroppedIsCompared(Path checkpoint) {
    Report report = verify(Packages.convert(checkpoint, folder.resolve("p")), trace(checkpoint));
    assertEquals(Verdict.PASS, report.verdict());
    Report.Reference reference = report.references().getFirst();
    assertEquals(reference.routing().decisions(), reference.routing().match());
    assertTrue(reference.routingByLayer().stream().anyMatch(l -> !l.dropped().isEmpty()));
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void executionsAreHeldToThemselves(Path checkpoint) {
    Path target = Packages.convert(checkpoint, folder.resolve("p"));
    Report report =
        Verifier.verify(
            target,
            null,
            List.of(),
            null,
            Running.onCpu(EnumSet.of(Execution.PLAIN)),
            DecisionFiles.NONE,
            true,
            Scope.all());
    assertEquals(Verdict.PASS, report.verdict(), () -> TextReport.of(report));
    assertTrue(report.invariance().judged() > 0, () -> TextReport.of(report));
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void theReferenceAloneFindsEveryDefect(Path checkpoint) {
    Map<String, UnaryOperator<ConversionPlan>> defects = new LinkedHashMap<>(everywhere());
    defects.putAll(checkpoint.endsWith("nllb-moe") ? ofNllb() : ofSwitch());
    assertTrue(defects.size() >= LEAST, defects.keySet()::toString);
    defects.forEach(
        (name, defect) -> {
          Path target = Packages.convert(checkpoint, folder.resolve(name), defect);
          assertEquals(Verdict.FAIL, WhetherFound.by(List.of(trace(checkpoint)), target), name);
        });
  }

  @ParameterizedTest
  @ValueSource(strings = {"a token too few", "a token too many"})
  void whatIsWrongAboutCapacityIsNamed(String name) {
    Path checkpoint = Fixtures.root().resolve("encoders/switch_transformers");
    int tokens = name.endsWith("few") ? 4 : 6;
    Path target =
        Packages.convert(
            checkpoint,
            folder.resolve("p"),
            routing(r -> r.withDrops(new Routing.Drops(tokens, null, false))));
    String said = verify(target, trace(checkpoint)).references().getFirst().diagnosis().toString();
    assertTrue(said.contains("take"), said);
  }

  /** transformers 5.18 runs experts 0 and 1 for every token of a layer. */
  @ParameterizedTest
  @ValueSource(strings = "nllb-moe")
  void aReferenceThatIsWrongItselfIsToldFromAWrongPackage(String family) {
    Path checkpoint = Fixtures.root().resolve("encoders").resolve(family);
    Path target = Packages.convert(checkpoint, folder.resolve("p"));
    Report report = verify(target, checkpoint.resolve("wrong-loop.safetensors"));
    assertEquals(Verdict.FAIL, report.verdict());
    String said = report.references().getFirst().diagnosis().toString();
    assertTrue(said.contains("The reference is wrong, not the package"), said);
  }

  private static Map<String, UnaryOperator<ConversionPlan>> everywhere() {
    Map<String, UnaryOperator<ConversionPlan>> defects = new LinkedHashMap<>();
    defects.put(
        "experts swapped",
        leaves(n -> n.startsWith("layers.1.") ? swap(n, ".experts.0.", ".experts.1.") : n));
    defects.put(
        "the router of another layer",
        leaves(n -> n.contains(".router.") ? swap(n, "layers.1.", "layers.3.") : n));
    defects.put(
        "key and value swapped", leaves(n -> swap(n, ".attention.key.", ".attention.value.")));
    defects.put(
        "key and value of the encoder's output swapped",
        leaves(n -> swap(n, ".cross.key.", ".cross.value.")));
    defects.put(
        "queries of another layer",
        leaves(n -> n.contains(".cross.query.") ? swap(n, "layers.2.", "layers.3.") : n));
    defects.put(
        "norms of a layer swapped",
        leaves(
            n -> n.startsWith("layers.3.") ? swap(n, ".cross_norm.", ".feed_forward_norm.") : n));
    defects.put("final norms swapped", leaves(EncoderDecoderTest::otherNorm));
    defects.put("nothing dropped", routing(r -> r.withDrops(null)));
    defects.put("scores twice as large", blocks(b -> WrongPlans.withScale(b, s -> 2 * s)));
    defects.put(
        "scores of the encoder's output twice as large",
        blocks(
            b ->
                b.cross() == null
                    ? b
                    : Parts.with(
                        b, "cross", Parts.with(b.cross(), "scale", 2 * b.cross().scale()))));
    defects.put(
        "another activation",
        experts(m -> Parts.with(m, "activation", FeedForward.Activation.SILU)));
    return defects;
  }

  /** A capacity, and what distances do to scores. */
  private static Map<String, UnaryOperator<ConversionPlan>> ofSwitch() {
    return Map.of(
        "an expert of another layer",
        leaves(n -> n.contains(".experts.1.") ? swap(n, "layers.1.", "layers.3.") : n),
        "a token fewer to an expert",
        drops(d -> new Routing.Drops(4, null, d.afterNormalisation())),
        "a token more to an expert",
        drops(d -> new Routing.Drops(6, null, d.afterNormalisation())),
        "distances alike sooner",
        blocks(b -> b.withAttention(nearer((Attention.GroupedQuery) b.attention()))),
        "logits as of a head of its own",
        rebuilt(a -> Parts.with(a, "multipliers", null)));
  }

  /** A capacity that grows with the text, second choices, and sinusoids. */
  private static Map<String, UnaryOperator<ConversionPlan>> ofNllb() {
    return Map.of(
        "a smaller part of the text to an expert",
        drops(d -> new Routing.Drops(null, 0.125, d.afterNormalisation())),
        "weights divided once tokens are dropped",
        drops(d -> new Routing.Drops(d.tokens(), d.fraction(), !d.afterNormalisation())),
        "one expert for a token",
        routing(WrongPlans::oneFewer),
        "positions off by one",
        rebuilt(
            a ->
                Parts.with(
                    a,
                    "positions",
                    Parts.with(a.positions(), "first", a.positions().first() + 1))));
  }

  private static Attention nearer(Attention.GroupedQuery attention) {
    Attention.Distances own = attention.distances();
    return own == null
        ? attention
        : Parts.with(
            attention, "distances", new Attention.Distances(own.buckets(), own.farthest() / 4));
  }

  private static String otherNorm(String name) {
    return name.startsWith("layers.")
        ? name
        : name.startsWith("encoder_norm.")
            ? "final_" + name.substring("encoder_".length())
            : name.startsWith("final_norm.")
                ? "encoder_" + name.substring("final_".length())
                : name;
  }

  private static Path trace(Path checkpoint) {
    return checkpoint.resolve("trace.safetensors");
  }

  /** By a reference alone. */
  private static Report verify(Path target, Path trace) {
    return Verifier.verify(target, null, List.of(trace), EnumSet.of(Execution.PLAIN));
  }
}
