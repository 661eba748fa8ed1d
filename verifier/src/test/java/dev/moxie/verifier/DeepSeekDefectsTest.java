package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.model.Routing;
import dev.moxie.format.pack.ShardLayout;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Well-formed packages that are wrong, each named by the references alone for what it looks like.
 */
class DeepSeekDefectsTest {
  @TempDir Path folder;

  private static final Path TINY = Fixtures.tinyDeepSeek();
  private static final Path V3 = Fixtures.root().resolve("random/deepseek_v3");
  private static final Path V2 = Fixtures.root().resolve("random/deepseek_v2");
  private static final Path YARN = Fixtures.root().resolve("random/deepseek_v3_yarn");
  private static final Path BLOCKS = Fixtures.root().resolve("variants/v3-eight-groups-fp8");
  private static final Path OFFSET = Fixtures.root().resolve("variants/v3-ungrouped-unnormalised");

  static Stream<Arguments> wrongPlans() {
    return Stream.of(
            cases(
                "a bias added to the weights instead of to the selection only",
                routing(r -> r.withBias(Routing.Bias.SELECTION_AND_WEIGHTS)),
                TINY,
                V3,
                OFFSET),
            cases(
                "a dropped selection bias",
                plan ->
                    without(
                        routing(r -> r.withBias(null)).apply(plan),
                        name -> name.endsWith("router.bias")),
                TINY,
                V3,
                BLOCKS),
            cases(
                "routing scale 2.5 applied twice",
                routing(r -> r.withScale(r.scale() * r.scale())),
                TINY,
                V3,
                YARN),
            cases(
                "dropped normalisation", routing(r -> r.withNormalisation(null)), TINY, V3, BLOCKS),
            cases(
                "wrong group count: 4 of 8 groups kept instead of 2 of 4",
                routing(r -> r.withGroups(groups(r, 8, 4))),
                TINY,
                V3,
                V2),
            cases(
                "wrong group count: 1 of 2 groups kept instead of 2 of 4",
                routing(r -> r.withGroups(groups(r, 2, 1))),
                TINY,
                V3,
                V2),
            cases("dropped groups: ", routing(r -> r.withGroups(null)), TINY, V3, V2, BLOCKS),
            cases(
                "a YaRN softmax factor of",
                rotary(r -> scaled(r, r.yarn().softmaxFactor() * r.yarn().softmaxFactor())),
                YARN,
                BLOCKS),
            cases(
                "group aggregate by maximum instead of sum of the top two",
                routing(r -> r.withGroups(aggregate(r, Routing.Groups.Aggregate.MAXIMUM))),
                TINY,
                V3,
                BLOCKS),
            cases(
                "shared experts skipped",
                plan ->
                    without(
                        experts(FeedForward.MixtureOfExperts::withoutShared).apply(plan),
                        name -> name.contains(".shared.")),
                TINY,
                V3,
                V2,
                BLOCKS),
            cases(
                "interleaved rotary dimensions read as halves",
                rotary(r -> r.withPairing(Rotary.Pairing.HALVES)),
                TINY,
                V3,
                V2,
                YARN),
            cases("the YaRN softmax factor ignored", rotary(r -> scaled(r, 1)), YARN, BLOCKS))
        .flatMap(cases -> cases);
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("wrongPlans")
  void aWrongPlanIsNamed(String name, Path checkpoint, UnaryOperator<ConversionPlan> defect) {
    assertNamed(name, checkpoint, Packages.convert(checkpoint, folder.resolve("p"), defect));
  }

  static Stream<Arguments> wrongWeights() {
    BiConsumer<TensorInfo, FloatBuffer> zeroBias =
        onFloats("e_score_correction_bias", (i, values) -> 0f);
    BiConsumer<TensorInfo, FloatBuffer> roundedBias =
        onFloats("e_score_correction_bias", (i, values) -> toBf16(values[i]));
    BiConsumer<TensorInfo, FloatBuffer> shifted =
        onFloats("_scale_inv", (i, values) -> values[(i + 1) % values.length]);
    BiConsumer<TensorInfo, FloatBuffer> shiftedOnce =
        onFloats("layers.1.self_attn.o_proj.weight_scale_inv", (i, v) -> v[(i + 1) % v.length]);
    return Stream.of(
            cases("a dropped selection bias", zeroBias, TINY, V3, BLOCKS),
            cases("a selection bias rounded to bf16", roundedBias, OFFSET),
            cases("the block scales of all its weights shifted one", shifted, TINY, BLOCKS),
            cases(
                "the block scales of layers.1.attention.output.weight shifted one",
                shiftedOnce,
                TINY,
                BLOCKS))
        .flatMap(cases -> cases);
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("wrongWeights")
  void wrongWeightsAreNamed(
      String name, Path checkpoint, BiConsumer<TensorInfo, FloatBuffer> defect) throws IOException {
    Path wrong = Files.createDirectories(folder.resolve("c"));
    try (Stream<Path> files = Files.list(checkpoint)) {
      for (Path file : files.toList()) {
        Path copy = Files.copy(file, wrong.resolve(file.getFileName()));
        if (file.getFileName().toString().matches("model.*\\.safetensors")) {
          damage(copy, defect);
        }
      }
    }
    assertNamed(name, checkpoint, Packages.convert(wrong, folder.resolve("p")));
  }

  private static void assertNamed(String name, Path checkpoint, Path pack) {
    Report report =
        Verifier.verify(
            pack,
            null,
            Fixtures.traces(checkpoint).stream().limit(2).toList(),
            EnumSet.of(Execution.SCHEDULED));
    assertEquals(Verdict.FAIL, report.verdict());
    List<String> sentences =
        report.references().stream().flatMap(r -> r.diagnosis().stream()).toList();
    assertTrue(
        sentences.stream().anyMatch(s -> s.contains("Looks like " + name)), sentences.toString());
    // No other suspect is named.
    assertTrue(
        sentences.stream()
            .filter(s -> s.startsWith("Looks like"))
            .allMatch(s -> s.contains("Looks like " + name)),
        sentences.toString());
  }

  private static Stream<Arguments> all(String name, Object defect, Path... checkpoints) {
    return Stream.of(checkpoints).map(checkpoint -> Arguments.of(name, checkpoint, defect));
  }

  private static Stream<Arguments> cases(
      String name, UnaryOperator<ConversionPlan> defect, Path... checkpoints) {
    return all(name, defect, checkpoints);
  }

  private static Stream<Arguments> cases(
      String name, BiConsumer<TensorInfo, FloatBuffer> defect, Path... checkpoints) {
    return all(name, defect, checkpoints);
  }

  /** The layers for multi-token prediction change with the others. */
  private static UnaryOperator<ConversionPlan> blocks(UnaryOperator<Architecture.Blocks> change) {
    return plan -> {
      Architecture a = plan.architecture().withBlocks(change);
      Architecture.Prediction p = a.prediction();
      if (p != null) {
        Architecture.Blocks b =
            change.apply(new Architecture.Blocks(p.count(), p.attention(), p.feedForward()));
        p = new Architecture.Prediction(b.count(), b.attention(), b.feedForward());
      }
      return new ConversionPlan(
          plan.checkpoint(),
          plan.family(),
          new Architecture(
              a.vocabSize(),
              a.hiddenSize(),
              a.maxPositions(),
              a.normEpsilon(),
              a.tiedEmbeddings(),
              a.blocks(),
              p),
          plan.conversion(),
          plan.prediction(),
          plan.shards());
    };
  }

  private static UnaryOperator<ConversionPlan> experts(
      UnaryOperator<FeedForward.MixtureOfExperts> change) {
    return blocks(
        b ->
            b.feedForward() instanceof FeedForward.MixtureOfExperts m
                ? b.withFeedForward(change.apply(m))
                : b);
  }

  private static UnaryOperator<ConversionPlan> routing(UnaryOperator<Routing> change) {
    return experts(m -> m.withRouting(change.apply(m.routing())));
  }

  private static UnaryOperator<ConversionPlan> rotary(UnaryOperator<Rotary> change) {
    return blocks(
        b -> b.withAttention(b.attention().withRotary(change.apply(b.attention().rotary()))));
  }

  private static Rotary scaled(Rotary r, double softmaxFactor) {
    return r.withYarn(r.yarn().withFactors(r.yarn().magnitude(), softmaxFactor));
  }

  private static Routing.Groups groups(Routing r, int count, int kept) {
    return new Routing.Groups(count, kept, r.groups().aggregate(), r.groups().maskValue());
  }

  private static Routing.Groups aggregate(Routing r, Routing.Groups.Aggregate aggregate) {
    return new Routing.Groups(
        r.groups().count(), r.groups().kept(), aggregate, r.groups().maskValue());
  }

  /** Leaves tensors out, and lays the others out anew. */
  private static ConversionPlan without(ConversionPlan plan, Predicate<String> gone) {
    List<ConversionPlan.Shard> shards = new ArrayList<>();
    for (ConversionPlan.Shard shard : plan.shards()) {
      Map<String, List<ConversionPlan.Piece>> pieces = new HashMap<>();
      shard
          .moves()
          .forEach(
              move ->
                  pieces
                      .computeIfAbsent(move.tensor().spec().name(), name -> new ArrayList<>())
                      .add(move.piece()));
      List<ShardLayout.Item> items =
          shard.layout().tensors().stream()
              .filter(placed -> placed.spec().role() != Role.PADDING)
              .filter(placed -> !gone.test(placed.spec().name()))
              .map(placed -> new ShardLayout.Item(placed.spec(), placed.dtype()))
              .toList();
      ShardLayout layout = ShardLayout.of(shard.layout().file(), null, items);
      shards.add(
          new ConversionPlan.Shard(
              layout,
              layout.tensors().stream()
                  .flatMap(placed -> pieces.getOrDefault(placed.spec().name(), List.of()).stream())
                  .toList()));
    }
    return new ConversionPlan(
        plan.checkpoint(),
        plan.family(),
        plan.architecture(),
        plan.conversion(),
        plan.prediction(),
        shards);
  }

  /** The new value of element i of a tensor's old values. */
  private interface Change {
    float of(int i, float[] values);
  }

  private static BiConsumer<TensorInfo, FloatBuffer> onFloats(String ending, Change change) {
    return (info, data) -> {
      if (info.name().endsWith(ending)) {
        float[] values = new float[data.remaining()];
        data.get(0, values);
        for (int i = 0; i < values.length; i++) {
          data.put(i, change.of(i, values));
        }
      }
    };
  }

  private static float toBf16(float value) {
    int bits = Float.floatToIntBits(value);
    return Float.intBitsToFloat((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
  }

  private static void damage(Path file, BiConsumer<TensorInfo, FloatBuffer> defect)
      throws IOException {
    SafetensorsHeader header = SafetensorsFile.readHeader(file);
    byte[] bytes = Files.readAllBytes(file);
    for (TensorInfo info : header.tensors()) {
      if (info.dtype() == dev.moxie.format.safetensors.Dtype.F32) {
        int at = Math.toIntExact(header.bytes() + info.begin());
        defect.accept(
            info,
            ByteBuffer.wrap(bytes, at, Math.toIntExact(info.bytes()))
                .slice()
                .order(ByteOrder.LITTLE_ENDIAN)
                .asFloatBuffer());
      }
    }
    Files.write(file, bytes);
  }
}
