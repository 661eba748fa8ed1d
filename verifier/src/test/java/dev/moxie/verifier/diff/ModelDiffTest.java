package dev.moxie.verifier.diff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.fixtures.Exhaustive;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsWriter.Tensor;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.verifier.oracle.Precision;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Exhaustive
class ModelDiffTest {
  /** Three layers of eight experts, bf16. */
  private static final Path MIXTRAL = Fixtures.randomMixtrals().getFirst();

  private static final String LAYER = "model.layers.1.block_sparse_moe.";
  private static final String UNKNOWN = "{\"model_type\": \"nobody_knows\", \"depth\": 3}";

  @TempDir Path folder;

  @Test
  void aPackageIsTheSameAsItselfByDigestsOrByBytes() {
    Path pack = Models.convert(MIXTRAL, folder.resolve("p"));
    Diff trusting = Models.diff(pack, pack);
    assertSame(Diff.Sense.SAME_BYTES, trusting);
    int leaves = trusting.trustedDigests();
    assertEquals(trusting.tensors().sameBytes(), leaves);
    assertEquals(
        ("the same model: equal bytes or digests; of %d of %d leaves digests were compared and"
                + " bytes not read (--bytes reads them)")
            .formatted(leaves, leaves),
        verdict(trusting));
    Diff reading = Models.diff(pack, pack, false);
    assertSame(Diff.Sense.SAME_BYTES, reading);
    assertEquals(0, reading.trustedDigests());
    assertEquals(List.of(), reading.layout());
    assertEquals("the same model: equal bytes", verdict(reading));
  }

  private static String verdict(Diff diff) {
    String text = DiffText.of(diff, false);
    return text.substring(text.lastIndexOf("\nverdict ") + "\nverdict ".length()).strip();
  }

  static List<Path> checkpoints() {
    return Fixtures.all();
  }

  @ParameterizedTest
  @MethodSource("checkpoints")
  void aPackageIsTheSameAsItsSource(Path checkpoint) {
    Path pack = Models.convert(checkpoint, folder.resolve("p"));
    Diff diff = Models.diff(pack, checkpoint);
    assertSame(Diff.Sense.SAME_BYTES, diff);
    assertEquals(Diff.Names.CANONICAL, diff.names());
    assertEquals(0, diff.trustedDigests());
  }

  @Test
  void aPackageInAnotherLayoutIsTheSame() {
    Path plain = Models.convert(MIXTRAL, folder.resolve("p"));
    Path spread =
        Models.convert(
            MIXTRAL, folder.resolve("q"), null, new Manifest.Layout(3, 50_000L), plan -> plan);
    Diff diff = Models.diff(plain, spread, false);
    assertSame(Diff.Sense.SAME_BYTES, diff);
    assertTrue(diff.layout().contains(new Diff.Change("expertParallel", "1", "3")));
    assertTrue(diff.layout().contains(new Diff.Change("maxShardBytes", null, "50000")));
  }

  @Test
  void aWiderDtypeHasTheSameValues() {
    Path wide = Models.cast(MIXTRAL, folder.resolve("p"), Dtype.F32);
    assertSame(Diff.Sense.SAME_VALUES, Models.diff(MIXTRAL, wide));
    Path fp8 = Fixtures.tinyDeepSeek();
    Path dequantised = Models.cast(fp8, folder.resolve("q"), Dtype.F32);
    Diff diff = Models.diff(dequantised, fp8);
    assertSame(Diff.Sense.SAME_VALUES, diff);
    assertTrue(
        diff.tensors().dtypes().stream()
            .anyMatch(form -> form.b().equals("F8_E4M3 in fp8_block_128x128")));
  }

  @Test
  void roundingIsMeasuredElementByElement() {
    float[] values = new float[70];
    long rounded = 0;
    double squares = 0;
    double squaresOfA = 0;
    for (int i = 0; i < values.length; i++) {
      values[i] = 1 + i * 0x1p-8f;
      double error = Precision.BF16.round(values[i]) - values[i];
      rounded += error == 0 ? 0 : 1;
      squares += error * error;
      squaresOfA += values[i] * values[i];
    }
    byte[] halves = new byte[2 * values.length];
    for (int i = 0; i < values.length; i++) {
      int bits = Float.floatToRawIntBits((float) Precision.BF16.round(values[i]));
      ByteBuffer.wrap(halves).order(ByteOrder.LITTLE_ENDIAN).putShort(2 * i, (short) (bits >>> 16));
    }
    Shape shape = Shape.of(7, 10);
    Diff.Numbers numbers =
        only(unknown(
                List.of(Models.floats("w", shape, values)),
                List.of(new Tensor("w", Dtype.BF16, shape, ByteBuffer.wrap(halves)))))
            .numbers();
    assertEquals(rounded, numbers.differing());
    assertEquals(70, numbers.compared());
    assertEquals(0x1p-8, numbers.maxAbs());
    assertEquals(0x1p-8 / values[69], numbers.maxRel(), 1e-12);
    assertEquals(Math.sqrt(squares / squaresOfA), numbers.rms(), 1e-12);
  }

  @Test
  void swappedExpertsAreNamed() {
    Path other =
        Models.copy(
            MIXTRAL,
            folder.resolve("c"),
            tensor -> {
              String name = tensor.name();
              return name.startsWith(LAYER)
                  ? Models.renamed(tensor, swap(name, "experts.2.", "experts.5."))
                  : tensor;
            });
    Diff diff = Models.diff(Models.convert(MIXTRAL, folder.resolve("p")), other);
    assertEquals(
        List.of(
            new Diff.Likeness(
                Diff.Likeness.Kind.EXPERT,
                "layers.1.experts (expert 2)",
                "layers.1.experts (expert 5)"),
            new Diff.Likeness(
                Diff.Likeness.Kind.EXPERT,
                "layers.1.experts (expert 5)",
                "layers.1.experts (expert 2)")),
        diff.likenesses());
    assertEquals(6, diff.tensors().different());
    assertEquals(
        Set.of("layers.1.experts.gate_up.weight", "layers.1.experts.down.weight"), names(diff));
    for (Diff.TensorDifference difference : diff.tensors().differences()) {
      assertEquals(
          Set.of(2, 5),
          difference.experts().stream()
              .map(Diff.ExpertDifference::expert)
              .collect(Collectors.toSet()));
    }
  }

  @Test
  void gateAndUpSwappedAreNamed() {
    Path other =
        Models.copy(
            MIXTRAL,
            folder.resolve("c"),
            tensor -> {
              String name = tensor.name();
              return name.startsWith(LAYER + "experts.3.")
                  ? Models.renamed(tensor, swap(name, ".w1.", ".w3."))
                  : tensor;
            });
    String stack = "layers.1.experts.gate_up.weight (expert 3, ";
    assertEquals(
        List.of(
            new Diff.Likeness(Diff.Likeness.Kind.LEAF, stack + "gate)", stack + "up)"),
            new Diff.Likeness(Diff.Likeness.Kind.LEAF, stack + "up)", stack + "gate)")),
        Models.diff(MIXTRAL, other).likenesses());
  }

  @Test
  void oneFlippedElementIsLocated() {
    Path other =
        Models.copy(
            MIXTRAL,
            folder.resolve("c"),
            tensor -> {
              if (!tensor.name().equals(LAYER + "experts.6.w2.weight")) {
                return tensor;
              }
              byte[] data = tensor.data().array().clone();
              // Row 17, column 5 of [64, 96], the sign.
              data[2 * (17 * 96 + 5) + 1] ^= (byte) 0x80;
              return Models.with(tensor, data);
            });
    Diff diff = Models.diff(MIXTRAL, other);
    Diff.TensorDifference difference = only(diff);
    assertEquals("layers.1.experts.down.weight", difference.name());
    Diff.ExpertDifference expert = difference.experts().getFirst();
    assertEquals(6, expert.expert());
    assertEquals(difference.numbers(), expert.numbers());
    assertEquals(1, difference.numbers().differing());
    assertEquals(64 * 96, difference.numbers().compared());
    Diff.Place worst = difference.numbers().worst();
    assertEquals("layers.1.experts.down.weight (expert 6, down)", worst.leaf());
    assertEquals(List.of(17L, 5L), worst.index());
    assertEquals(-worst.a(), worst.b());
    assertEquals(2 * Math.abs(worst.a()), difference.numbers().maxAbs());
    assertEquals(List.of(), diff.likenesses());
  }

  @Test
  void aTransposedSquareMatrixAndReorderedRowsAreNamed() {
    Path other =
        Models.copy(
            MIXTRAL,
            folder.resolve("c"),
            tensor ->
                switch (tensor.name()) {
                  case "model.layers.0.self_attn.q_proj.weight" -> transposed(tensor, 64);
                  case "model.layers.2.self_attn.q_proj.weight" -> rotated(tensor);
                  default -> tensor;
                });
    String first = "layers.0.attention.query.weight";
    String last = "layers.2.attention.query.weight";
    assertEquals(
        List.of(
            new Diff.Likeness(Diff.Likeness.Kind.TRANSPOSED, first, first),
            new Diff.Likeness(Diff.Likeness.Kind.REORDERED, last, last)),
        Models.diff(MIXTRAL, other).likenesses());
  }

  @Test
  void aMissingTensorIsNamedThoughTheCheckpointCannotBePlanned() {
    String lost = LAYER + "experts.4.w1.weight";
    Path other =
        Models.copy(
            MIXTRAL, folder.resolve("c"), tensor -> tensor.name().equals(lost) ? null : tensor);
    for (Path whole : List.of(MIXTRAL, Models.convert(MIXTRAL, folder.resolve("p")))) {
      Diff diff = Models.diff(whole, other);
      assertEquals(Diff.Sense.DIFFERENT, diff.sense());
      assertEquals(Diff.Names.OWN, diff.names());
      assertEquals(
          List.of(new Diff.OneSided(lost, 1, "BF16 [96, 64]", 2 * 96 * 64)),
          diff.tensors().onlyInA());
      assertEquals(List.of(), diff.tensors().onlyInB());
      assertEquals(0, diff.tensors().different());
      assertTrue(diff.notCompared().getFirst().contains(lost), diff.notCompared().toString());
    }
  }

  @Test
  void aChangedConfigKeyIsNamedWithItsMeaning() throws IOException {
    Path other = Models.copy(MIXTRAL, folder.resolve("c"), tensor -> tensor);
    Path config = other.resolve("config.json");
    String text = Files.readString(config);
    Files.writeString(
        config, text.replaceAll("(?m)\"rms_norm_eps\": .*,", "\"rms_norm_eps\": 0.25,"));
    Diff diff = Models.diff(MIXTRAL, other);
    assertEquals(Diff.Sense.DIFFERENT, diff.sense());
    assertEquals(
        List.of("config.json: rms_norm_eps"),
        diff.settings().stream().map(Diff.Change::what).toList());
    assertEquals("0.25", diff.settings().getFirst().b());
    assertEquals(
        List.of("normEpsilon"), diff.architecture().stream().map(Diff.Change::what).toList());
    assertEquals(0, diff.tensors().different());
  }

  /** Conversion refuses it, so nobody knows whether it is the same model. */
  @Test
  void aSizeWithAFractionIsNotTheSameSizeWhereItIsNotUnderstood() throws IOException {
    Path other = Models.copy(MIXTRAL, folder.resolve("c"), tensor -> tensor);
    Path config = other.resolve("config.json");
    String text = Files.readString(config);
    Files.writeString(config, text.replaceFirst("(\"vocab_size\": \\d+)", "$1.0"));
    for (Path whole : List.of(MIXTRAL, Models.convert(MIXTRAL, folder.resolve("p")))) {
      Diff diff = Models.diff(whole, other);
      assertEquals(Diff.Sense.DIFFERENT, diff.sense());
      assertEquals(
          List.of("config.json: vocab_size"),
          diff.settings().stream().map(Diff.Change::what).toList());
      assertTrue(
          diff.notCompared().getFirst().contains("vocab_size"), diff.notCompared()::toString);
    }
  }

  /** Whoever loads the folder may apply it, and have other numbers. */
  @Test
  void anAdapterBesideAModelIsNotTheModelAlone() throws IOException {
    Path other = Models.copy(MIXTRAL, folder.resolve("c"), tensor -> tensor);
    Files.writeString(other.resolve("adapter_model.safetensors"), "x");
    Diff diff = Models.diff(MIXTRAL, other);
    assertEquals(Diff.Sense.DIFFERENT, diff.sense());
    assertEquals(List.of(new Diff.Change("understood", "true", "false")), diff.architecture());
    assertTrue(diff.notCompared().getFirst().contains("an adapter"), diff.notCompared()::toString);
  }

  @Test
  void aNumberWithAFractionOfZeroIsASpellingWhereItIsUnderstood() throws IOException {
    Path one = Models.copy(MIXTRAL, folder.resolve("a"), tensor -> tensor);
    Path other = Models.copy(MIXTRAL, folder.resolve("b"), tensor -> tensor);
    Path config = other.resolve("config.json");
    String text = Files.readString(config);
    Files.writeString(config, text.replaceFirst("(\"rope_theta\": \\d+)\\.0", "$1"));
    Files.writeString(one.resolve("generation_config.json"), "{\"top_p\": 1}");
    Files.writeString(other.resolve("generation_config.json"), "{\"top_p\": 1.0}");
    Files.writeString(one.resolve("tokenizer_config.json"), "{\"n\": 9007199254740993}");
    Files.writeString(other.resolve("tokenizer_config.json"), "{\"n\": 9007199254740993}\n");
    Diff diff = Models.diff(one, other);
    assertSame(Diff.Sense.SAME_BYTES, diff);
    assertEquals(
        List.of("config.json: rope_theta", "generation_config.json: top_p"),
        diff.spelling().stream().map(Diff.Change::what).toList());
    Files.writeString(other.resolve("tokenizer_config.json"), "{\"n\": 9007199254740992}");
    assertSame(Diff.Sense.DIFFERENT, Models.diff(one, other));
  }

  @Test
  void anotherRoutingEquationIsWrittenOut() {
    Path right = Models.convert(MIXTRAL, folder.resolve("p"));
    Path wrong =
        Models.convert(
            MIXTRAL, folder.resolve("q"), null, Manifest.Layout.PLAIN, ModelDiffTest::withScale);
    Diff diff = Models.diff(right, wrong);
    assertEquals(Diff.Sense.DIFFERENT, diff.sense());
    Diff.Change equation = diff.architecture().getFirst();
    assertEquals("layers 0-2: routing", equation.what());
    assertTrue(equation.b().contains("· 2.5"), equation.b());
    assertEquals(
        new Diff.Change("layers 0-2: feedForward.routing.scale", "1.0", "2.5"),
        diff.architecture().getLast());
  }

  @Test
  void whatOnlyTellsOfAModelIsListedAndNoPartOfIt() throws IOException {
    Path one = Models.copy(MIXTRAL, folder.resolve("a"), tensor -> tensor);
    Path other = Models.copy(MIXTRAL, folder.resolve("b"), tensor -> tensor);
    Files.writeString(one.resolve("README.md"), "a");
    Files.writeString(other.resolve("README.md"), "b");
    Files.writeString(one.resolve("LICENSE"), "as is");
    Diff diff = Models.diff(one, other);
    assertSame(Diff.Sense.SAME_BYTES, diff);
    assertEquals(
        List.of("LICENSE", "README.md"), diff.files().stream().map(Diff.Change::what).toList());
    Files.writeString(one.resolve("modelling.py"), "pass");
    assertSame(Diff.Sense.DIFFERENT, Models.diff(one, other));
  }

  /** As {@code model.save_pretrained} leaves it. */
  @Test
  void aModelThatWasSavedWithoutItsTokenizerIsTheSameModel() throws IOException {
    Path whole = Models.copy(MIXTRAL, folder.resolve("a"), tensor -> tensor);
    Path alone = Models.copy(MIXTRAL, folder.resolve("b"), tensor -> tensor);
    Files.writeString(whole.resolve("tokenizer.json"), "{}");
    Files.writeString(whole.resolve("tokenizer_config.json"), "{}");
    Diff diff = Models.diff(whole, alone);
    assertSame(Diff.Sense.SAME_BYTES, diff);
    assertEquals(List.of("the tokenizer, which B comes without"), diff.notCompared());
    Files.writeString(alone.resolve("tokenizer.json"), "{\"a\": 1}");
    assertSame(Diff.Sense.DIFFERENT, Models.diff(whole, alone));
  }

  @Test
  void anotherTokenizerIsAnotherModelAndAnotherIndexIsNot() throws IOException {
    Path one = Models.copy(MIXTRAL, folder.resolve("a"), tensor -> tensor);
    Path other = Models.copy(MIXTRAL, folder.resolve("b"), tensor -> tensor);
    Files.copy(MIXTRAL.resolve("generation_config.json"), one.resolve("generation_config.json"));
    Files.copy(MIXTRAL.resolve("generation_config.json"), other.resolve("generation_config.json"));
    assertSame(Diff.Sense.SAME_BYTES, Models.diff(one, other));
    Files.writeString(one.resolve("chat_template.jinja"), "{{ a }}");
    Files.writeString(other.resolve("chat_template.jinja"), "{{ b }}");
    Files.writeString(other.resolve("vocab.txt"), "owl");
    Diff diff = Models.diff(one, other);
    assertEquals(Diff.Sense.DIFFERENT, diff.sense());
    assertEquals(
        List.of("chat_template.jinja", "vocab.txt"),
        diff.files().stream().map(Diff.Change::what).toList());
    assertNull(diff.files().getLast().a());
    assertNotNull(diff.files().getLast().b());
  }

  @Test
  void jsonWrittenOtherwiseIsNoOtherSetting() throws IOException {
    Path one = Models.write(folder.resolve("a"), "{\"depth\": 3, \"x\": null}", List.of());
    Path other = Models.write(folder.resolve("b"), "{ \"x\":null, \"depth\":3.0 }", List.of());
    assertSame(Diff.Sense.SAME_BYTES, Models.diff(one, other));
  }

  /** Readers fill in a default for what is absent, and keep what is null. */
  @Test
  void aSettingThatIsNullIsNotOneThatIsAbsent() {
    Path one = Models.write(folder.resolve("a"), "{\"depth\": 3, \"x\": null}", List.of());
    Path other = Models.write(folder.resolve("b"), "{\"depth\": 3}", List.of());
    Diff diff = Models.diff(one, other);
    assertSame(Diff.Sense.DIFFERENT, diff);
    assertEquals(List.of(new Diff.Change("config.json: x", "null", null)), diff.settings());
  }

  @Test
  void expertsOfAnUnknownFamilyAreComparedOneByOne() {
    Shape stack = Shape.of(3, 1, 2);
    Diff diff =
        unknown(
            List.of(
                Models.floats("l.0.experts.up", stack, 1, 2, 3, 4, 5, 6),
                Models.floats("l.0.experts.1.b.weight", Shape.of(2), 7, 8),
                Models.floats("l.0.experts.2.b.weight", Shape.of(2), 9, 10)),
            List.of(
                Models.floats("l.0.experts.up", stack, 1, 2, 5, 6, 3, 4),
                Models.floats("l.0.experts.1.b.weight", Shape.of(2), 7, 48),
                Models.floats("l.0.experts.2.b.weight", Shape.of(2), 9, 10)));
    assertEquals(Diff.Names.OWN, diff.names());
    assertEquals(Set.of("l.0.experts.up", "l.0.experts.*.b.weight"), names(diff));
    assertEquals(2, diff.notCompared().size());
    Diff.TensorDifference first = diff.tensors().differences().getFirst();
    assertEquals("l.0.experts.*.b.weight", first.name());
    assertEquals(1, first.experts().getFirst().expert());
    assertEquals(40, first.numbers().maxAbs());
    // Experts 1 and 2 have changed places in the stack, but not in the other tensor.
    assertEquals(
        List.of(
            new Diff.Likeness(
                Diff.Likeness.Kind.LEAF, "l.0.experts.up (expert 1)", "l.0.experts.up (expert 2)"),
            new Diff.Likeness(
                Diff.Likeness.Kind.LEAF, "l.0.experts.up (expert 2)", "l.0.experts.up (expert 1)")),
        diff.likenesses());
  }

  @Test
  void aTensorNamedLikeASliceIsRefusedAndNotHidden() {
    Path honest = Models.write(folder.resolve("a"), UNKNOWN, List.of());
    Path liar =
        Models.write(
            folder.resolve("b"),
            UNKNOWN,
            List.of(
                Models.floats("experts.up", Shape.of(2, 1, 1), 1, 2),
                Models.floats("experts.up (expert 1)", Shape.of(1), 3)));
    var refusal = assertThrows(CorruptException.class, () -> Models.diff(honest, liar));
    assertTrue(refusal.getMessage().contains("experts.up (expert 1)"), refusal.getMessage());
  }

  @Test
  void blockScalesBelongToTheirWeightsUnderOwnNamesToo() throws IOException {
    Path other = Models.copy(Fixtures.tinyDeepSeek(), folder.resolve("c"), tensor -> tensor);
    Path config = other.resolve("config.json");
    Files.writeString(config, Files.readString(config).replace("deepseek_v3", "nobody_knows"));
    Path exact = Models.convert(Fixtures.tinyDeepSeek(), folder.resolve("p"));
    Path wide = Models.cast(Fixtures.tinyDeepSeek(), folder.resolve("q"), Dtype.F32);
    for (Path pack : List.of(exact, wide)) {
      Diff diff = Models.diff(pack, other);
      assertEquals(Diff.Names.OWN, diff.names());
      Diff.Tensors tensors = diff.tensors();
      assertEquals(0, tensors.different() + tensors.onlyInA().size() + tensors.onlyInB().size());
      assertEquals(269, tensors.sameBytes() + tensors.sameValues());
      assertEquals(pack.equals(exact), tensors.sameValues() == 0);
    }
  }

  @Test
  void aTensorUnderAnotherNameIsRecognised() {
    Shape shape = Shape.of(2, 2);
    Diff diff =
        unknown(
            List.of(Models.floats("old", shape, 1, 2, 3, 4)),
            List.of(Models.floats("new", shape, 1, 2, 3, 4)));
    assertEquals(Diff.Sense.DIFFERENT, diff.sense());
    assertEquals(
        List.of(new Diff.Likeness(Diff.Likeness.Kind.LEAF, "old", "new")), diff.likenesses());
  }

  @Test
  void notANumberComesFirstAndSpoilsNoSum() {
    Shape shape = Shape.of(4);
    Diff diff =
        unknown(
            List.of(
                Models.floats("a", shape, 1, 1, 1, 1),
                Models.floats("b", shape, 3, 4, Float.NaN, 0)),
            List.of(
                Models.floats("a", shape, 99, 1, 1, 1),
                Models.floats("b", shape, Float.NaN, 4, Float.NaN, -0.0f)));
    assertEquals(
        List.of("b", "a"),
        diff.tensors().differences().stream().map(Diff.TensorDifference::name).toList());
    Diff.Numbers numbers = diff.tensors().differences().getFirst().numbers();
    assertEquals(2, numbers.differing());
    assertEquals(1, numbers.notFinite());
    assertEquals(0, numbers.maxAbs());
    assertEquals(0.0, numbers.rms());
    assertEquals(List.of(0L), numbers.worst().index());
    assertTrue(DiffJson.of(diff).contains("\"NaN\""));
  }

  @Test
  void aChangeOfNothingButZerosIsTheLargest() {
    Shape shape = Shape.of(2);
    Diff diff =
        unknown(
            List.of(Models.floats("a", shape, 1, 1), Models.floats("z", shape, 0, 0)),
            List.of(Models.floats("a", shape, 9, 9), Models.floats("z", shape, 1, 0)));
    assertEquals("z", diff.tensors().differences().getFirst().name());
    assertNull(diff.tensors().differences().getFirst().numbers().rms());
  }

  @Test
  void shapesThatDifferAndDtypesWithoutValuesAreNotForcedTogether() {
    Shape shape = Shape.of(4);
    ByteBuffer bytes = ByteBuffer.wrap(new byte[] {1, 2, 3, 4});
    ByteBuffer others = ByteBuffer.wrap(new byte[] {1, 2, 9, 4});
    Diff diff =
        unknown(
            List.of(
                Models.floats("shape", Shape.of(2, 3), 1, 2, 3, 4, 5, 6),
                new Tensor("packed", Dtype.U8, shape, bytes),
                new Tensor("type", Dtype.U8, shape, bytes)),
            List.of(
                Models.floats("shape", Shape.of(3, 2), 1, 2, 3, 4, 5, 6),
                new Tensor("packed", Dtype.U8, shape, others),
                Models.floats("type", shape, 1, 2, 3, 4)));
    assertEquals(
        Set.of("shape", "type"),
        diff.tensors().incomparable().stream().map(Diff.Form::name).collect(Collectors.toSet()));
    Diff.Numbers numbers = only(diff).numbers();
    assertEquals("bytes", numbers.unit());
    assertEquals(1, numbers.differing());
    assertEquals(List.of(2L), numbers.worst().index());
  }

  @Test
  void linesBeyondTheFirstTwentyAreCountedUnlessAllAreAskedFor() {
    List<Tensor> ofA = new ArrayList<>();
    for (int i = 0; i < 25; i++) {
      ofA.add(Models.floats("t" + i, Shape.of(1), i));
    }
    Diff diff = unknown(ofA, List.of());
    assertTrue(DiffText.of(diff, false).contains("\n  … and 5 more\n"));
    assertEquals(20, Stream.of(DiffText.of(diff, false).split("\n  t\\d")).skip(1).count());
    assertEquals(25, Stream.of(DiffText.of(diff, true).split("\n  t\\d")).skip(1).count());
  }

  private Diff unknown(List<Tensor> ofA, List<Tensor> ofB) {
    return Models.diff(
        Models.write(folder.resolve("a"), UNKNOWN, ofA),
        Models.write(folder.resolve("b"), UNKNOWN, ofB));
  }

  private static Diff.TensorDifference only(Diff diff) {
    assertEquals(1, diff.tensors().differences().size());
    return diff.tensors().differences().getFirst();
  }

  private static Set<String> names(Diff diff) {
    return diff.tensors().differences().stream()
        .map(Diff.TensorDifference::name)
        .collect(Collectors.toCollection(TreeSet::new));
  }

  private static void assertSame(Diff.Sense sense, Diff diff) {
    assertEquals(sense, diff.sense(), () -> DiffText.of(diff, true));
  }

  private static String swap(String name, String a, String b) {
    return name.contains(a) ? name.replace(a, b) : name.replace(b, a);
  }

  private static Tensor transposed(Tensor tensor, int n) {
    byte[] data = tensor.data().array();
    byte[] other = new byte[data.length];
    for (int i = 0; i < n * n; i++) {
      int j = i % n * n + i / n;
      other[2 * j] = data[2 * i];
      other[2 * j + 1] = data[2 * i + 1];
    }
    return Models.with(tensor, other);
  }

  /** Every row moves on by one. */
  private static Tensor rotated(Tensor tensor) {
    byte[] data = tensor.data().array();
    int row = data.length / Math.toIntExact(tensor.shape().dim(0));
    byte[] other = new byte[data.length];
    System.arraycopy(data, 0, other, row, data.length - row);
    System.arraycopy(data, data.length - row, other, 0, row);
    return Models.with(tensor, other);
  }

  private static ConversionPlan withScale(ConversionPlan plan) {
    return new ConversionPlan(
        plan.checkpoint(),
        plan.family(),
        plan.architecture()
            .withBlocks(
                blocks -> {
                  var experts = (FeedForward.MixtureOfExperts) blocks.feedForward();
                  return blocks.withFeedForward(
                      experts.withRouting(experts.routing().withScale(2.5)));
                }),
        plan.conversion(),
        plan.prediction(),
        plan.adapter(),
        plan.leftOut(),
        plan.shards());
  }
}
