package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.jspecify.annotations.Nullable;

/**
 * Parts that no family has together, each layer with others, in sizes that nobody released, against
 * the oracle. What has weights is gpt-oss's, which has most, or left out.
 */
class AnyPartsTest {
  @Property(tries = 40)
  void everyExecutionComputesThemLikeTheOracle(@ForAll long seed) throws IOException {
    Path folder = Files.createTempDirectory("moxie-parts");
    try {
      var random = new Random(seed);
      AnyDeepSeekTest.write(folder.resolve("c"), config(random), random);
      Packages.convert(
          folder.resolve("c"),
          folder.resolve("p"),
          plan ->
              WrongPlans.without(
                  WrongPlans.called(
                      WrongPlans.rebuilt(a -> model(a, random)).apply(plan),
                      name ->
                          name.replaceFirst("(attention|feed_forward)_norm", "$1_output_norm"))));
      try (MoxiePackage pack = MoxiePackage.open(folder.resolve("p"))) {
        for (Execution execution : Execution.of(Device.CPU)) {
          try (Model model = execution.open(pack, Device.CPU, new Unproven())) {
            Comparison logits = LoweringCheck.compare(pack, model, Precision.F32);
            assertEquals(
                Verdict.PASS,
                logits.verdict(),
                execution + ": " + logits + ", " + pack.architecture());
          }
        }
      }
    } finally {
      try (Stream<Path> walk = Files.walk(folder)) {
        walk.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
      }
    }
  }

  private static int of(Random random, int least, int most) {
    return least + random.nextInt(most - least + 1);
  }

  private static <T> @Nullable T maybe(Random random, T value) {
    return random.nextBoolean() ? value : null;
  }

  private static String config(Random random) {
    int keyValueHeads = of(random, 1, 3);
    int groups = of(random, 1, 3);
    return """
    {"model_type": "gpt_oss", "hidden_act": "silu", "vocab_size": 19, "hidden_size": %d,
     "num_hidden_layers": %d, "intermediate_size": %d, "num_local_experts": %d,
     "num_experts_per_tok": %d, "num_attention_heads": %d, "num_key_value_heads": %d,
     "head_dim": %d, "attention_bias": true, "rms_norm_eps": 1e-5, "rope_theta": 1000.0,
     "sliding_window": %d, "max_position_embeddings": 64,
     "rope_scaling": {"rope_type": "yarn", "factor": 8.0, "beta_fast": 8.0, "beta_slow": 1.0,
      "original_max_position_embeddings": 256, "truncate": false},
     "tie_word_embeddings": %s}
    """
        .formatted(
            of(random, 1, 40),
            of(random, 1, 4),
            of(random, 1, 40),
            2 * of(random, 2, 4),
            of(random, 1, 3),
            groups * keyValueHeads,
            keyValueHeads,
            2 * of(random, 1, 12),
            of(random, 1, 5),
            random.nextBoolean());
  }

  private static Architecture model(Architecture a, Random random) {
    Architecture changed =
        a.withBlocks(
            b ->
                b.withAttention(attention((Attention.GroupedQuery) b.attention(), random))
                    .withFeedForward(
                        experts((FeedForward.MixtureOfExperts) b.feedForward(), random)));
    changed = Parts.with(changed, "centredNorms", random.nextBoolean());
    changed =
        Parts.with(changed, "normPlacement", maybe(random, Architecture.NormPlacement.OUTPUT));
    var multipliers = new Architecture.Multipliers(3, 0.5, 0.25);
    return Parts.with(changed, "multipliers", maybe(random, multipliers));
  }

  private static Attention attention(Attention.GroupedQuery a, Random random) {
    Rotary rotary = a.rotary();
    Rotary.Pairing pairing =
        random.nextBoolean() ? Rotary.Pairing.HALVES : Rotary.Pairing.INTERLEAVED;
    var turned =
        new Rotary(
            of(random, 2, 4) * 100.0,
            2 * of(random, 1, a.headSize() / 2),
            pairing,
            maybe(random, rotary.scaling()));
    Attention.NormSpan span = Attention.NormSpan.values()[random.nextInt(2)];
    var norm = new Attention.QueryKeyNorm(span, 1e-3, false, random.nextBoolean());
    Attention.GroupedQuery changed = a.withRotary(maybe(random, turned));
    changed = Parts.with(changed, "chunk", maybe(random, of(random, 1, 4)));
    changed = Parts.with(changed, "biases", random.nextBoolean());
    changed = Parts.with(changed, "outputBias", random.nextBoolean());
    changed = Parts.with(changed, "queryKeyNorm", maybe(random, norm));
    changed = Parts.with(changed, "clip", maybe(random, 0.75));
    changed = Parts.with(changed, "sinks", random.nextBoolean());
    var temperature = new Attention.Temperature(0.5, of(random, 1, 3));
    return Parts.with(changed, "temperature", maybe(random, temperature));
  }

  private static FeedForward experts(FeedForward.MixtureOfExperts m, Random random) {
    var groups =
        new Routing.Groups(
            m.experts() / 2,
            of(random, 2, m.experts() / 2),
            Routing.Groups.Aggregate.values()[random.nextInt(2)],
            Routing.Groups.MaskValue.NEGATIVE_INFINITY);
    var normalisation =
        new Routing.Normalisation(random.nextBoolean() ? 0 : 0.125, maybe(random, 0.75));
    Routing routing =
        m.routing()
            .withScore(Routing.Score.values()[random.nextInt(2)])
            .withBias(maybe(random, Routing.Bias.values()[random.nextInt(3)]))
            .withGroups(maybe(random, groups))
            .withNormalisation(maybe(random, normalisation))
            .withScale(random.nextBoolean() ? 1 : 2.5);
    Routing.WeightsApplyTo where = Routing.WeightsApplyTo.values()[random.nextInt(2)];
    FeedForward.MixtureOfExperts changed =
        m.withRouting(Parts.with(routing, "weightsApplyTo", where));
    var clamp = new FeedForward.Clamp(0.75, 1.702, 0.5);
    changed = Parts.with(changed, "clamp", maybe(random, clamp));
    return Parts.with(changed, "biases", random.nextBoolean());
  }
}
