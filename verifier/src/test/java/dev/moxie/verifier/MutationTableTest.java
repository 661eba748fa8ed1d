package dev.moxie.verifier;

import static dev.moxie.verifier.DamagedCheckpoint.rows;
import static dev.moxie.verifier.DamagedCheckpoint.transposed;
import static dev.moxie.verifier.DamagedCheckpoint.values;
import static dev.moxie.verifier.DamagedCheckpoint.zeros;
import static dev.moxie.verifier.WrongPlans.blocks;
import static dev.moxie.verifier.WrongPlans.experts;
import static dev.moxie.verifier.WrongPlans.rebuilt;
import static dev.moxie.verifier.WrongPlans.renamed;
import static dev.moxie.verifier.WrongPlans.rotary;
import static dev.moxie.verifier.WrongPlans.routing;
import static dev.moxie.verifier.WrongPlans.swap;
import static dev.moxie.verifier.WrongPlans.without;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.lowering.Target;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.DecisionFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Plants defects in both trained checkpoints, lets one reference alone find each, and holds the
 * table in README.md to what came out. {@code -Dmoxie.regenerate=true} plants each in both and
 * writes the table anew; otherwise one that can be in both is planted in one of them.
 */
class MutationTableTest {
  private static final Path MIXTRAL = Fixtures.tinyMixtral();
  private static final Path DEEPSEEK = Fixtures.tinyDeepSeek();
  private static final List<Path> CHECKPOINTS = List.of(MIXTRAL, DEEPSEEK);

  /** Defects that must be found, and those of them that must be named, in each checkpoint. */
  private static final int LEAST_FOUND = 25;

  private static final int LEAST_NAMED = 20;

  @TempDir Path folder;

  /** Makes a wrong package of a checkpoint. */
  @FunctionalInterface
  private interface Plant {
    void grow(Path checkpoint, Path work, Path pack) throws IOException;
  }

  /**
   * A defect.
   *
   * @param sentence what the diagnosis must begin with
   */
  private record Defect(String name, Path checkpoint, String sentence, Plant plant) {}

  /** What became of a defect: what was first said of it, and whether that names it. */
  private record Outcome(Defect defect, boolean found, boolean named, String words) {}

  private final List<Defect> defects = new ArrayList<>();

  private void both(String name, String sentence, UnaryOperator<ConversionPlan> tamper) {
    plan(MIXTRAL, name, sentence, tamper);
    plan(DEEPSEEK, name, sentence, tamper);
  }

  private void plan(
      Path checkpoint, String name, String sentence, UnaryOperator<ConversionPlan> tamper) {
    defects.add(
        new Defect(
            name,
            checkpoint,
            sentence,
            (source, work, pack) -> Packages.convert(source, pack, tamper)));
  }

  private void bytes(
      Path checkpoint, String name, String sentence, DamagedCheckpoint.Damage damage) {
    defects.add(
        new Defect(
            name,
            checkpoint,
            sentence,
            (source, work, pack) ->
                Packages.convert(DamagedCheckpoint.copy(source, work, damage), pack)));
  }

  private void bothBytes(String name, String sentence, DamagedCheckpoint.Damage damage) {
    bytes(MIXTRAL, name, sentence, damage);
    bytes(DEEPSEEK, name, sentence, damage);
  }

  private void plantExperts() {
    both(
        "two experts of a layer swapped",
        "experts 2 and 3 swapped",
        renamed(
            name -> name.contains("layers.1.") ? swap(name, "experts.2.", "experts.3.") : name));
    both("experts moved on by one", "experts moved", renamed(n -> expert(n, (e, all) -> e + 1)));
    both(
        "experts in reverse order",
        "experts in reverse order",
        renamed(n -> expert(n, (e, all) -> all - 1 - e)));
    plan(
        DEEPSEEK,
        "experts sorted lexically",
        "experts in the lexical order",
        renamed(n -> expert(n, (e, all) -> lexical(all).get(e))));
    both(
        "an expert of another layer",
        "expert 3 taken from layer 2",
        renamed(n -> n.contains("experts.3.") ? swap(n, "layers.1.", "layers.2.") : n));
    both(
        "gate and up of one expert swapped",
        "gate and up swapped in expert 3",
        renamed(n -> n.contains("layers.1.") && n.contains("experts.3.") ? gateForUp(n) : n));
    both(
        "gate and up of all experts swapped",
        "gate and up swapped in",
        renamed(n -> n.contains("experts.") ? gateForUp(n) : n));
    bytes(
        MIXTRAL,
        "an expert twice as large",
        "expert 3 off by a factor of 2",
        values(n -> n.contains("layers.1.") && n.contains("experts.3.w2"), (i, v) -> 2 * v[i]));
    bytes(
        DEEPSEEK,
        "an expert twice as large",
        "expert 3 off by a factor of 2",
        values(
            n -> n.contains("layers.1.") && n.contains("experts.3.down_proj.weight_scale_inv"),
            (i, v) -> 2 * v[i]));
    bothBytes(
        "an expert lost",
        "lost experts: of layer 1, expert 3",
        zeros(n -> n.contains("layers.1.") && n.contains("experts.3.")));
  }

  private void plantRouters() {
    bothBytes(
        "two rows of a router swapped",
        "router rows 2 and 3 swapped",
        rows(n -> n.contains("layers.1.") && isRouter(n), r -> r == 2 ? 3 : r == 3 ? 2 : r));
    bothBytes(
        "a router twice as large",
        "router off by a factor of 2",
        values(n -> n.contains("layers.1.") && isRouter(n), (i, v) -> 2 * v[i]));
    both(
        "the router of another layer",
        "layer 1 with the router of layer 2",
        renamed(n -> isRouter(n) ? swap(n, "layers.1.", "layers.2.") : n));
    both(
        "normalisation of weights dropped",
        "dropped normalisation",
        routing(r -> r.withNormalisation(null)));
    both("routing scale off by 1 %", "routing scale", routing(r -> r.withScale(1.01 * r.scale())));
    plan(
        DEEPSEEK,
        "routing scale applied twice",
        "routing scale 2.5 applied twice",
        routing(r -> r.withScale(r.scale() * r.scale())));
    both(
        "another score function",
        "scores by",
        routing(
            r ->
                r.withScore(
                    r.score() == Routing.Score.SOFTMAX
                        ? Routing.Score.SIGMOID
                        : Routing.Score.SOFTMAX)));
    both("one expert fewer per token", "experts per token", routing(WrongPlans::oneFewer));
    plan(
        DEEPSEEK,
        "selection bias dropped",
        "a dropped selection bias",
        plan ->
            without(routing(r -> r.withBias(null)).apply(plan), n -> n.endsWith("router.bias")));
    plan(
        DEEPSEEK,
        "selection bias added to the weights",
        "a bias added to the weights",
        routing(r -> r.withBias(Routing.Bias.SELECTION_AND_WEIGHTS)));
    plan(DEEPSEEK, "groups dropped", "dropped groups", routing(r -> r.withGroups(null)));
    plan(
        DEEPSEEK,
        "another number of groups",
        "wrong group count",
        routing(
            r ->
                r.withGroups(
                    new Routing.Groups(8, 4, r.groups().aggregate(), r.groups().maskValue()))));
    plan(
        DEEPSEEK,
        "groups by their best expert",
        "group aggregate by maximum",
        routing(
            r ->
                r.withGroups(
                    new Routing.Groups(
                        r.groups().count(),
                        r.groups().kept(),
                        Routing.Groups.Aggregate.MAXIMUM,
                        r.groups().maskValue()))));
  }

  private void plantAttention() {
    plan(
        MIXTRAL,
        "key and value swapped",
        "key and value swapped",
        renamed(n -> swap(n, "k_proj", "v_proj")));
    bytes(
        MIXTRAL,
        "a square query projection transposed",
        "layers.1.attention.query.weight transposed",
        transposed(n -> n.contains("layers.1.") && n.contains("q_proj")));
    both(
        "another rotary pairing",
        "",
        rotary(
            r ->
                r.withPairing(
                    r.pairing() == Rotary.Pairing.HALVES
                        ? Rotary.Pairing.INTERLEAVED
                        : Rotary.Pairing.HALVES)));
    both("rotary base off by 1 %", "rotary base", rotary(r -> WrongPlans.theta(r, 1.01)));
    both("rotary base of a longer context", "rotary base", rotary(r -> WrongPlans.theta(r, 100)));
    both(
        "attention scale 1/d for 1/sqrt(d)",
        "attention scale",
        blocks(b -> WrongPlans.withScale(b, scale -> scale * scale)));
    plan(
        MIXTRAL,
        "a sliding window of 4",
        "a sliding window that the reference does not have",
        blocks(b -> b.withAttention(((Attention.GroupedQuery) b.attention()).withWindow(4))));
    bytes(
        MIXTRAL,
        "attention output twice as large",
        "attention output off by a factor of 2",
        values(n -> n.contains("layers.1.") && n.contains("o_proj"), (i, v) -> 2 * v[i]));
    bytes(
        DEEPSEEK,
        "attention output twice as large",
        "attention output off by a factor of 2",
        values(
            n -> n.contains("layers.1.") && n.contains("o_proj.weight_scale_inv"),
            (i, v) -> 2 * v[i]));
    both(
        "attention of another layer",
        "layer 1 with the attention of layer 2",
        renamed(n -> n.contains("self_attn") ? swap(n, "layers.1.", "layers.2.") : n));
  }

  private void plantTheRest() {
    both(
        "two layers swapped",
        "layer 1 with the weights of layer 2",
        renamed(n -> swap(n, "layers.1.", "layers.2.")));
    both(
        "norms of a layer swapped",
        "attention norm and feed-forward norm swapped",
        renamed(
            n ->
                n.contains("layers.1.")
                    ? swap(n, "input_layernorm", "post_attention_layernorm")
                    : n));
    both(
        "norm epsilon ten times as large",
        "norm epsilon",
        rebuilt(a -> a.withNormEpsilon(10 * a.normEpsilon())));
    bothBytes(
        "norm weights less one",
        "norm weights stored as differences from one",
        values(
            n -> n.matches(".*layers\\.\\d\\.(input|post_attention)_layernorm.weight"),
            (i, v) -> v[i] - 1));
    bothBytes(
        "rows of the embedding moved by one",
        "rows of the embedding moved",
        rows(n -> n.contains("model.embed_tokens"), r -> (r + 1) % 512));
    both(
        "embedding and head confused",
        "embedding and head confused",
        renamed(n -> n.matches("lm_head.weight|model.embed_tokens.weight") ? ends(n) : n));
    both(
        "another norm in the place of the final one",
        "final norm and",
        renamed(
            n -> swap(n, "model.norm.weight", "model.layers.3.post_attention_layernorm.weight")));
    bothBytes(
        "rows of the head moved by one",
        "rows of the head moved",
        rows(n -> n.equals("lm_head.weight"), r -> (r + 1) % 512));
    plan(
        DEEPSEEK,
        "shared experts skipped",
        "shared experts skipped",
        plan ->
            without(
                experts(FeedForward.MixtureOfExperts::withoutShared).apply(plan),
                n -> n.contains(".shared.")));
    bytes(
        DEEPSEEK,
        "routing scale on the shared experts",
        "shared experts off by a factor of 2.5",
        values(
            n -> n.contains("shared_experts.down_proj.weight_scale_inv"), (i, v) -> 2.5f * v[i]));
    plan(
        DEEPSEEK,
        "gate and up of the shared experts swapped",
        "gate and up swapped in the shared experts",
        renamed(n -> n.contains("shared_experts") ? gateForUp(n) : n));
    plan(
        DEEPSEEK,
        "gate and up of the dense layer swapped",
        "gate and up swapped in the dense network",
        renamed(n -> n.contains("layers.0.mlp.") ? gateForUp(n) : n));
    bytes(
        DEEPSEEK,
        "block scales moved by one",
        "the block scales of all its",
        values(n -> n.endsWith("_scale_inv"), (i, v) -> v[(i + 1) % v.length]));
    bytes(
        DEEPSEEK,
        "block scales of one matrix moved by one",
        "the block scales of layers.1.attention.output.weight shifted",
        values(
            n -> n.endsWith("layers.1.self_attn.o_proj.weight_scale_inv"),
            (i, v) -> v[(i + 1) % v.length]));
    for (Path checkpoint : List.of(MIXTRAL, DEEPSEEK)) {
      defects.add(
          new Defect(
              "a shard lost",
              checkpoint,
              "experts-L002.safetensors",
              (source, work, pack) -> {
                Packages.convert(source, pack);
                Files.delete(pack.resolve("experts-L002.safetensors"));
              }));
    }
  }

  private void plantAll() {
    plantExperts();
    plantRouters();
    plantAttention();
    plantTheRest();
  }

  /** As on CUDA, whose float16 graphs run here, too; three of them are less than float16 rounds. */
  @Exhaustive
  @ParameterizedTest
  @ValueSource(
      strings = {
        "two experts of a layer swapped",
        "gate and up of all experts swapped",
        "routing scale off by 1 %",
        "selection bias dropped",
        "key and value swapped",
        "rotary base off by 1 %",
        "block scales of one matrix moved by one",
        "rows of the head moved by one"
      })
  void float16HidesNone(String name) {
    plantAll();
    var half = new Running(Device.CPU, Target.CUDA, EnumSet.of(Execution.FUSED));
    IntStream those =
        IntStream.range(0, defects.size()).filter(n -> defects.get(n).name().equals(name));
    List<Outcome> outcomes = outcomes(those.boxed().toList(), half);
    assertFalse(outcomes.isEmpty());
    for (Outcome outcome : outcomes) {
      assertTrue(outcome.found() && outcome.named(), outcome.toString());
    }
  }

  @Test
  void everyDefectIsFoundByReferencesAloneAndMostAreNamed() throws IOException {
    plantAll();
    List<Integer> planted = IntStream.range(0, defects.size()).boxed().toList();
    List<Outcome> outcomes =
        outcomes(
            WrittenTable.drawn("mutation table", planted),
            Running.onCpu(EnumSet.of(Execution.PLAIN)));
    assertEquals(List.of(), outcomes.stream().filter(o -> !o.found()).toList());
    WrittenTable table = WrittenTable.of("mutation table");
    if (WrittenTable.isWritten()) {
      table = table.written(table(outcomes));
    }
    for (Outcome outcome : outcomes) {
      Defect defect = outcome.defect();
      int column = 1 + CHECKPOINTS.indexOf(defect.checkpoint());
      assertEquals(table.row(defect.name()).get(column), cell(outcome), defect.name());
    }
  }

  private List<Outcome> outcomes(List<Integer> numbers, Running running) {
    return numbers.parallelStream().map(n -> outcome(n, running)).toList();
  }

  private Outcome outcome(int number, Running running) {
    Defect defect = defects.get(number);
    Path pack = folder.resolve("p" + number);
    try {
      defect.plant().grow(defect.checkpoint(), folder.resolve("c" + number), pack);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Report report;
    try {
      List<Path> one = Fixtures.traces(defect.checkpoint()).subList(0, 1);
      report =
          Verifier.verify(pack, null, one, null, running, DecisionFiles.NONE, false, Scope.all());
    } catch (MoxieException e) {
      String refusal = e.getMessage().replaceAll("\\S*/", "");
      boolean named = !defect.sentence().isEmpty() && refusal.contains(defect.sentence());
      return new Outcome(defect, true, named, refusal.replaceFirst(";.*", ""));
    }
    if (!report.integrity().findings().isEmpty()) {
      String finding = report.integrity().findings().getFirst().toString();
      return new Outcome(defect, true, finding.startsWith(defect.sentence()), finding);
    }
    if (!report.unlike().isEmpty()) {
      String difference = report.unlike().getFirst().differences().getFirst();
      return new Outcome(defect, true, difference.startsWith(defect.sentence()), difference);
    }
    List<String> words =
        report.references().stream()
            .flatMap(reference -> reference.diagnosis().stream())
            .filter(sentence -> sentence.startsWith("Looks like "))
            .distinct()
            .toList();
    boolean named =
        !words.isEmpty()
            && words.stream().allMatch(w -> w.startsWith("Looks like " + defect.sentence()));
    return new Outcome(
        defect,
        report.verdict() == Verdict.FAIL,
        named,
        words.isEmpty()
            ? firstWords(report)
            : words.getFirst().replaceFirst(": without that.*", ""));
  }

  private static String firstWords(Report report) {
    return report.references().stream()
        .flatMap(reference -> reference.diagnosis().stream())
        .findFirst()
        .orElse("");
  }

  /**
   * One row per defect, with what is said of it in each checkpoint; each has so many, and so many
   * that are named.
   */
  private static String table(List<Outcome> outcomes) {
    Map<String, Map<Path, Outcome>> rows = new TreeMap<>();
    List<String> order = new ArrayList<>();
    for (Outcome outcome : outcomes) {
      if (!rows.containsKey(outcome.defect().name())) {
        order.add(outcome.defect().name());
      }
      rows.computeIfAbsent(outcome.defect().name(), name -> new TreeMap<>())
          .put(outcome.defect().checkpoint(), outcome);
    }
    var table = new StringBuilder();
    for (Path checkpoint : CHECKPOINTS) {
      List<Outcome> own =
          outcomes.stream().filter(o -> o.defect().checkpoint().equals(checkpoint)).toList();
      long named = own.stream().filter(Outcome::named).count();
      table.append(
          "%s: %d defects, %d found, %d named.\n"
              .formatted(checkpoint.getFileName(), own.size(), own.size(), named));
      assertTrue(own.size() >= LEAST_FOUND, own.size() + " defects of " + checkpoint);
      assertTrue(named >= LEAST_NAMED, own.toString());
    }
    table.append("\n| planted | tiny-mixtral | tiny-deepseek-v3-fp8 |\n|---|---|---|\n");
    for (String name : order) {
      Map<Path, Outcome> row = rows.get(name);
      table.append(
          "| %s | %s | %s |\n".formatted(name, cell(row.get(MIXTRAL)), cell(row.get(DEEPSEEK))));
    }
    return table.toString();
  }

  private static String cell(Outcome outcome) {
    if (outcome == null) {
      return "–";
    }
    return (outcome.named() ? "" : "not named: ") + outcome.words().replace("|", "\\|");
  }

  private static boolean isRouter(String name) {
    return name.endsWith("gate.weight");
  }

  private static String gateForUp(String name) {
    return name.contains("_proj") ? swap(name, "gate_proj", "up_proj") : swap(name, ".w1.", ".w3.");
  }

  private static String ends(String name) {
    return name.equals("lm_head.weight") ? "model.embed_tokens.weight" : "lm_head.weight";
  }

  private interface Renumbering {
    int of(int expert, int all);
  }

  private static String expert(String name, Renumbering renumbering) {
    int all = name.contains("block_sparse_moe") ? 8 : 16;
    Matcher number = Pattern.compile("\\.experts\\.(\\d+)\\.").matcher(name);
    return number.find()
        ? number.replaceFirst(
            ".experts."
                + Math.floorMod(renumbering.of(Integer.parseInt(number.group(1)), all), all)
                + ".")
        : name;
  }

  private static List<Integer> lexical(int all) {
    return IntStream.range(0, all)
        .mapToObj(String::valueOf)
        .sorted()
        .map(Integer::valueOf)
        .toList();
  }
}
