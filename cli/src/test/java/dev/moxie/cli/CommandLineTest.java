package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** The command as a user meets it: what it prints, where, and how it ends. */
class CommandLineTest {
  @TempDir Path folder;

  /** What a run printed and how it ended. */
  record Outcome(int status, String out, String err) {}

  static Outcome moxie(String... arguments) {
    PrintStream out = System.out;
    PrintStream err = System.err;
    var capturedOut = new ByteArrayOutputStream();
    var capturedErr = new ByteArrayOutputStream();
    try {
      System.setOut(new StandardOutput(capturedOut));
      System.setErr(new PrintStream(capturedErr, true, StandardCharsets.UTF_8));
      int status = Main.run(arguments);
      return new Outcome(
          status,
          capturedOut.toString(StandardCharsets.UTF_8),
          capturedErr.toString(StandardCharsets.UTF_8));
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
  }

  private String convert(Path checkpoint) {
    String target = folder.resolve("p").toString();
    Outcome outcome = moxie("convert", checkpoint.toString(), target);
    assertEquals(0, outcome.status(), outcome.err());
    return target;
  }

  @Test
  void demoShowsEverythingAndEndsWell() {
    Path project = Fixtures.root().getParent();
    Outcome outcome =
        moxie("demo", "--home", project.toString(), "--output", folder.resolve("d").toString());
    assertEquals(0, outcome.status(), outcome.err());
    for (String part :
        List.of("S = top-2(s)", "verdict      pass", "Once upon a time", "moxie.json")) {
      assertTrue(outcome.out().contains(part), part + " in " + outcome.out());
    }
  }

  @Test
  void verifyJsonHasEveryMemberThatProgramsReadAndNothingElseOnStandardOutput() {
    Path checkpoint = Fixtures.tinyMixtral();
    String pack = convert(checkpoint);
    Outcome outcome =
        moxie(
            "verify",
            pack,
            "--json",
            "--source",
            checkpoint.toString(),
            "--reference",
            Fixtures.traces(Fixtures.tinyMixtral()).get(0).toString(),
            "--reference",
            Fixtures.traces(Fixtures.tinyMixtral()).get(2).toString());
    assertEquals(0, outcome.status(), outcome.err());
    JsonNode report = StrictJson.mapper(true).readTree(outcome.out());
    assertEquals("pass", report.at("/verdict").stringValue());
    assertTrue(report.at("/integrity/files").intValue() > 10);
    assertTrue(report.at("/integrity/bytes").longValue() > 4_000_000);
    assertEquals(127, report.at("/equivalence/tensors").intValue());
    assertEquals(127, report.at("/equivalence/identical").intValue());
    for (String zero : List.of("withinBound", "different", "missing", "extra")) {
      assertEquals(0, report.at("/equivalence/" + zero).intValue(-1), zero);
    }
    assertEquals(2, report.at("/references").size());
    JsonNode reference = report.at("/references/0");
    assertEquals(72, reference.at("/routing/decisions").intValue());
    assertEquals(72, reference.at("/routing/match").intValue());
    assertEquals(0, reference.at("/routing/tie").intValue(-1));
    assertEquals(0, reference.at("/routing/mismatch").intValue(-1));
    assertEquals(4, reference.at("/layers").size());
    for (String place : List.of("/layers/3", "/logits")) {
      for (String number : List.of("maxAbs", "maxRel", "bound")) {
        assertTrue(reference.at(place + "/" + number).isNumber(), place + "/" + number);
      }
      assertEquals("pass", reference.at(place + "/verdict").stringValue());
    }
    assertEquals(3, reference.at("/layers/3/layer").intValue());
    assertEquals(40, reference.at("/greedy/tokens").intValue());
    assertEquals(40, reference.at("/greedy/equal").intValue());
    assertEquals(2, reference.at("/executions").size());
  }

  @Test
  void aMismatchEndsWithOne() throws IOException {
    String pack = convert(Fixtures.randomMixtrals().getFirst());
    Outcome other = moxie("verify", pack, "--source", Fixtures.tinyMixtral().toString());
    assertEquals(1, other.status());
    Path shard = Path.of(pack).resolve("experts-L000.safetensors");
    byte[] bytes = Files.readAllBytes(shard);
    bytes[bytes.length - 1] ^= 1;
    Files.write(shard, bytes);
    Outcome damaged = moxie("verify", pack, "--json");
    assertEquals(1, damaged.status());
    JsonNode report = StrictJson.mapper(true).readTree(damaged.out());
    assertEquals("fail", report.at("/verdict").stringValue());
    assertTrue(
        report.at("/integrity/findings/0/tensor").stringValue().contains("(expert 7, down)"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "frobnicate",
        "convert",
        "convert a",
        "verify p --execution magic",
        "verify p --layers 0",
        "verify p --tokens 5",
        "verify p --reference t --layers 2-1",
        "verify p --reference t --tokens 0",
        "verify p --reference t --diagnosis -1",
        "run p --prompt x --top-p 2",
        "run p --prompt x --max-tokens 0",
        "convert a b --threads 0",
        "convert a b --json",
        "run p",
        "run p --prompt x --prompt-ids 1",
        "verify nowhere",
        "convert nowhere b",
        "inspect nowhere"
      })
  void wrongUsageEndsWithTwoAndSaysWhy(String line) {
    Outcome outcome = moxie(line.isEmpty() ? new String[0] : line.split(" "));
    assertEquals(2, outcome.status(), outcome.err());
    if (!line.isEmpty()) {
      assertOneSentence(2, outcome);
    }
  }

  @Test
  void anExistingTargetEndsWithTwoAndStays() throws IOException {
    String pack = convert(Fixtures.randomMixtrals().getFirst());
    byte[] before = Files.readAllBytes(Path.of(pack).resolve("moxie.json"));
    Outcome again = moxie("convert", Fixtures.tinyMixtral().toString(), pack);
    assertEquals(2, again.status());
    assertTrue(again.err().contains("--force"), again.err());
    assertEquals(
        List.of(before.length),
        List.of(Files.readAllBytes(Path.of(pack).resolve("moxie.json")).length));
    assertEquals(0, moxie("convert", Fixtures.tinyMixtral().toString(), pack, "--force").status());
  }

  @Test
  void aTargetInsideTheSourceOrInsideAPackageIsRefused() {
    Path source = Fixtures.tinyMixtral();
    assertOneSentence(2, moxie("convert", source.toString(), source.resolve("out").toString()));
    String pack = convert(source);
    assertOneSentence(2, moxie("convert", source.toString(), pack + "/inner"));
    assertEquals(0, moxie("verify", pack).status());
  }

  @Test
  void jsonSaysWhyThereIsNoReport() {
    Outcome outcome = moxie("verify", folder.toString(), "--json");
    assertEquals(3, outcome.status());
    JsonNode report = StrictJson.mapper(true).readTree(outcome.out());
    assertEquals("fail", report.at("/verdict").stringValue());
    assertTrue(report.at("/error").stringValue().contains("finished package"));
  }

  @Test
  void badInputEndsWithThreeInOneSentence() throws IOException {
    String pack = convert(Fixtures.randomMixtrals().getFirst());
    Path manifest = Path.of(pack).resolve("moxie.json");
    Files.writeString(manifest, Files.readString(manifest).substring(0, 300));
    for (String verb : List.of("verify", "inspect")) {
      assertOneSentence(3, moxie(verb, pack));
    }
    assertOneSentence(3, moxie("run", pack, "--prompt", "x"));
    Path config = Files.writeString(folder.resolve("config.json"), "{\"model_type\": \"mix\"}");
    assertOneSentence(3, moxie("inspect", config.toString()));
    Files.delete(manifest);
    assertOneSentence(3, moxie("verify", pack));
  }

  @Test
  void aTraceOfAnotherModelIsADifferenceWithAReport() {
    String pack = convert(Fixtures.randomMixtrals().getFirst());
    Outcome outcome =
        moxie(
            "verify",
            pack,
            "--reference",
            Fixtures.traces(Fixtures.tinyMixtral()).getFirst().toString());
    assertEquals(1, outcome.status(), outcome.err());
    assertTrue(outcome.out().contains("of a model of another shape"), outcome.out());
  }

  @Test
  void aTraceThatOnlyClaimsManyTokensIsRefusedBeforeAnythingIsComputed() {
    String pack = convert(Fixtures.randomMixtrals().getFirst());
    Path trace = folder.resolve("trace.safetensors");
    int tokens = 3_000_000;
    SafetensorsWriter.write(
        trace,
        Map.of(),
        List.of(
            new SafetensorsWriter.Tensor(
                "input_ids", Dtype.I64, Shape.of(tokens), ByteBuffer.allocate(8 * tokens))));
    assertOneSentence(3, moxie("verify", pack, "--reference", trace.toString()));
    assertOneSentence(3, moxie("verify", pack, "--reference", folder.toString()));
  }

  @Test
  void aModelOfUncountableSizeEndsWithThree() throws IOException {
    String config =
        Files.readString(Fixtures.config("mixtral-8x7b"))
            .replace("4096", "16777216")
            .replace("14336", "16777216")
            .replace("experts\": 8", "experts\": 65536");
    Path file = Files.writeString(folder.resolve("config.json"), config);
    assertOneSentence(3, moxie("inspect", file.toString()));
  }

  @Test
  void runRefusesMoreTokensThanTheModelHasPositions() {
    String pack = convert(Fixtures.tinyMixtral());
    for (String tokens : List.of("600", "2000000000")) {
      Outcome outcome = moxie("run", pack, "--prompt", "x", "--max-tokens", tokens);
      assertOneSentence(2, outcome);
      assertEquals("", outcome.out());
    }
    assertOneSentence(2, moxie("run", pack, "--prompt-ids", "1,512"));
  }

  @Test
  void aPackageWithoutTokenizerRunsOnTokens() {
    String pack = convert(Fixtures.randomMixtrals().getFirst());
    assertOneSentence(3, moxie("run", pack, "--prompt", "x"));
    Outcome outcome = moxie("run", pack, "--prompt-ids", "3,14,15", "--max-tokens", "4");
    assertEquals(0, outcome.status(), outcome.err());
    assertTrue(outcome.out().matches("(\\d+ ){1,4}\\R"), outcome.out());
  }

  @Test
  void aTokenizerOfAnotherModelEndsWithThree() throws IOException {
    Path checkpoint = copyOfTinyMixtral();
    String pack = convert(checkpoint);
    Files.writeString(checkpoint.resolve("tokenizer.json"), "{}");
    assertEquals(0, moxie("convert", checkpoint.toString(), pack, "--force").status());
    assertOneSentence(3, moxie("run", pack, "--prompt", "x"));
  }

  private Path copyOfTinyMixtral() throws IOException {
    Path checkpoint = folder.resolve("c");
    Files.createDirectories(checkpoint);
    try (var files = Files.list(Fixtures.tinyMixtral())) {
      for (Path file : files.toList()) {
        Files.copy(file, checkpoint.resolve(file.getFileName().toString()));
      }
    }
    return checkpoint;
  }

  @Test
  void endTokensOutsideTheVocabularyAreSaidOnceAndEndNothing() throws IOException {
    Path checkpoint = copyOfTinyMixtral();
    Path file = checkpoint.resolve("generation_config.json");
    Files.writeString(file, "{\"eos_token_id\": [2, 512, -1]}");
    String pack = folder.resolve("p").toString();
    Outcome converted = moxie("convert", checkpoint.toString(), pack);
    assertEquals(0, converted.status(), converted.err());
    List<String> said = converted.err().lines().filter(line -> line.contains("512")).toList();
    assertEquals(1, said.size(), converted.err());
    assertTrue(said.getFirst().contains("generation_config.json"), said.getFirst());
    for (String model : List.of(checkpoint.toString(), pack)) {
      String text = moxie("inspect", model).out();
      assertEquals(1, text.lines().filter(line -> line.contains("-1, 512")).count(), text);
      JsonNode json = StrictJson.mapper(true).readTree(moxie("inspect", model, "--json").out());
      assertEquals("[2]", json.at("/endTokens/ids").toString());
    }
    Outcome run = moxie("run", pack, "--prompt", "3 + 4 =", "--max-tokens", "5");
    assertEquals(0, run.status(), run.err());
    assertFalse(run.err().contains("512"), run.err());
    String trace = Fixtures.traces(Fixtures.tinyMixtral()).getFirst().toString();
    Outcome verified = moxie("verify", pack, "--reference", trace);
    assertEquals(0, verified.status(), "2 is never chosen, as in the reference" + verified.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {"9223372036854775808", "\"x\"", "{}", "1.5", "[[1]]", "true"})
  void anEndTokenThatIsNoTokenIsRefusedBeforeAnythingIsMadeAndInOldPackages(String value)
      throws IOException {
    Path checkpoint = copyOfTinyMixtral();
    String good = convert(checkpoint);
    Path config = checkpoint.resolve("config.json");
    String wrong =
        Files.readString(config)
            .replaceFirst("\"eos_token_id\": \\d+", "\"eos_token_id\": " + value);
    Files.writeString(config, wrong);
    String target = folder.resolve("q").toString();
    assertOneSentence(3, moxie("convert", checkpoint.toString(), target));
    assertOneSentence(3, moxie("inspect", checkpoint.toString()));
    assertOneSentence(3, moxie("inspect", config.toString()));
    assertFalse(Files.exists(Path.of(target)));
    Resealed.file(Path.of(good), "source/config.json", wrong.getBytes(StandardCharsets.UTF_8));
    for (String[] words :
        new String[][] {{"verify", good}, {"run", good, "--prompt", "x"}, {"inspect", good}}) {
      Outcome outcome = moxie(words);
      assertEquals(3, outcome.status(), outcome.err());
      assertTrue(outcome.err().contains("eos_token_id"), outcome.err());
      assertEquals("", outcome.out(), "not half-way through an answer");
    }
  }

  @Test
  void aWrongChecksumBesideARightDigestIsToldApart() throws IOException {
    Path pack = Path.of(convert(Fixtures.randomMixtrals().getFirst()));
    long stated;
    try (MoxiePackage opened = MoxiePackage.open(pack)) {
      stated =
          opened.rows().stream()
              .map(IndexRow::crc32c)
              .filter(Objects::nonNull)
              .findFirst()
              .orElseThrow();
    }
    byte[] index = Files.readAllBytes(pack.resolve("tensors.arrow"));
    ByteBuffer cells = ByteBuffer.wrap(index).order(ByteOrder.LITTLE_ENDIAN);
    int at = 0;
    while (cells.getInt(at) != (int) stated) {
      at += Integer.BYTES;
    }
    cells.putInt(at, (int) stated ^ 1);
    Resealed.file(pack, "tensors.arrow", index);
    Outcome outcome = moxie("verify", pack.toString());
    assertEquals(1, outcome.status(), outcome.err());
    String finding =
        "expected CRC-32C %d, which the index states, found %d, though the SHA-256 is right"
            .formatted(stated ^ 1, stated);
    assertTrue(outcome.out().contains(finding), outcome.out());
  }

  @Test
  void samplingWithoutATemperatureIsNotPassedOverInSilence() {
    String pack = convert(Fixtures.randomMixtrals().getFirst());
    for (String option : List.of("--top-k=5", "--top-p=0.5", "--seed=7")) {
      Outcome outcome = moxie("run", pack, "--prompt-ids", "1", option);
      assertOneSentence(2, outcome);
      assertTrue(outcome.err().contains("--temperature 0.8"), outcome.err());
      assertOneSentence(2, moxie("run", pack, "--prompt-ids", "1", option, "--temperature", "0"));
    }
  }

  @Test
  void whatIsThereButIsNoModelEndsWithThreeAndNothingAtAllWithTwo() throws IOException {
    String empty = Files.createDirectory(folder.resolve("empty")).toString();
    String file = Files.writeString(folder.resolve("file"), "x").toString();
    String target = folder.resolve("t").toString();
    for (String wrong : List.of(empty, file, folder.resolve("nowhere").toString(), file + "/x")) {
      int status = Files.exists(Path.of(wrong)) ? 3 : 2;
      assertOneSentence(status, moxie("inspect", wrong));
      assertOneSentence(status, moxie("convert", wrong, target));
      assertOneSentence(status, moxie("export", wrong, target));
      assertOneSentence(status, moxie("reshard", wrong, target));
      assertOneSentence(status, moxie("verify", wrong));
      assertOneSentence(status, moxie("run", wrong, "--prompt-ids", "1"));
      assertOneSentence(status, moxie("routing", wrong, "--ids", "1"));
      assertOneSentence(status, moxie("diff", wrong, Fixtures.tinyMixtral().toString()));
      assertOneSentence(status, moxie("baseline", "record", wrong, target, "--ids", "1"));
    }
  }

  @Test
  void aNestedConfigKeyCanBeIgnoredAsTheErrorSays() throws IOException {
    String config =
        Files.readString(Fixtures.tinyMixtral().resolve("config.json"))
            .replace("\"rope_theta\"", "\"colour\": 1, \"rope_theta\"");
    Path file = Files.writeString(folder.resolve("config.json"), config);
    Outcome refused = moxie("inspect", file.toString());
    assertOneSentence(3, refused);
    assertTrue(refused.err().contains("--ignore-config-key rope_parameters.colour"), refused.err());
    assertEquals(
        0,
        moxie("inspect", file.toString(), "--ignore-config-key", "rope_parameters.colour")
            .status());
  }

  @Test
  void cudaWithoutCudaEndsWithFourAndNamesALibrary() {
    String pack = convert(Fixtures.tinyMixtral());
    Outcome outcome = moxie("run", pack, "--prompt", "x", "--device", "cuda");
    assertOneSentence(4, outcome);
    assertTrue(outcome.err().contains("lib"), outcome.err());
  }

  @Test
  void verifyOnCudaWithoutCudaEndsWithFourToo() {
    String pack = convert(Fixtures.tinyMixtral());
    assertOneSentence(4, moxie("verify", pack, "--device", "cuda"));
    Outcome plain = moxie("verify", pack, "--device", "cuda", "--execution", "plain");
    assertOneSentence(2, plain);
    assertTrue(plain.err().contains("--device cpu"), plain.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {"cuda:1", "cuda,cuda", "cuda:0,1", "0", "2", "CUDA:0"})
  void oneGpuIsUsedAndSeveralAreRefusedWithTheWayToChoose(String devices) {
    for (String verb : List.of("run", "verify", "eval", "bench run")) {
      String[] words = (verb + " p --device " + devices).split(" ");
      Outcome outcome = moxie(words);
      assertOneSentence(2, outcome);
      assertTrue(outcome.err().contains("one GPU is used, the first that is visible"));
      assertTrue(outcome.err().contains("CUDA_VISIBLE_DEVICES"));
    }
  }

  @Test
  void runSaysOnStandardErrorWhereItRunsAndPrintsTheTextAlone() {
    String pack = convert(Fixtures.tinyMixtral());
    Outcome first =
        moxie("run", pack, "--prompt", "3 + 4 =", "--max-tokens", "5", "--execution", "fused");
    assertEquals(0, first.status(), first.err());
    assertTrue(first.out().startsWith("3 + 4 ="), first.out());
    assertTrue(first.err().contains("device CPU, execution FUSED"), first.err());
    Outcome plain = moxie("run", pack, "--prompt", "3 + 4 =", "--max-tokens", "5");
    assertEquals(first.out(), plain.out());
    Outcome sampled =
        moxie("run", pack, "--prompt", "Once", "--temperature", "1", "--seed", "5", "--top-k", "9");
    Outcome again =
        moxie("run", pack, "--prompt", "Once", "--temperature", "1", "--seed", "5", "--top-k", "9");
    assertEquals(sampled.out(), again.out());
  }

  @Test
  void multiTokenPredictionIsDecidedByTheUser() {
    String checkpoint = Fixtures.tinyDeepSeek().toString();
    Outcome undecided = moxie("convert", checkpoint, folder.resolve("p").toString());
    assertOneSentence(2, undecided);
    assertTrue(undecided.err().contains("--mtp keep"), undecided.err());
    assertFalse(Files.exists(folder.resolve("p")));
    assertOneSentence(
        2, moxie("convert", checkpoint, folder.resolve("p").toString(), "--mtp", "maybe"));
    Outcome dropped = moxie("convert", checkpoint, folder.resolve("p").toString(), "--mtp", "drop");
    assertEquals(0, dropped.status(), dropped.err());
    assertTrue(dropped.out().contains("377 tensors"), dropped.out());
    assertTrue(dropped.out().contains("124 tensors left out"), dropped.out());
    Outcome absent =
        moxie(
            "convert",
            Fixtures.root().resolve("random/deepseek_v3").toString(),
            folder.resolve("q").toString());
    assertEquals(0, absent.status(), absent.err());
    assertTrue(absent.err().contains("the files hold none"), absent.err());
  }

  @Test
  void exportGivesTheCheckpointBackAndSaysWhatItIs() throws IOException {
    Path checkpoint = Fixtures.root().resolve("variants/v3-eight-groups-fp8");
    for (List<String> options :
        List.of(List.of("--mtp", "keep"), List.of("--mtp", "drop", "--dtype", "bf16"))) {
      String name = options.get(1);
      String pack = folder.resolve(name).toString();
      String target = folder.resolve(name + "-exported").toString();
      List<String> convert = new ArrayList<>(List.of("convert", checkpoint.toString(), pack));
      convert.addAll(options);
      assertEquals(0, moxie(convert.toArray(String[]::new)).status());
      Outcome exported = moxie("export", pack, target);
      assertEquals(0, exported.status(), exported.err());
      boolean lossless = name.equals("keep");
      assertTrue(
          exported.out().contains(lossless ? "byte for byte" : "weights are BF16"), exported.out());
      assertEquals(
          lossless,
          Files.mismatch(checkpoint.resolve("config.json"), Path.of(target).resolve("config.json"))
              < 0);
      assertOneSentence(2, moxie("export", pack, target));
    }
  }

  @Test
  void latentAttentionRunsFromItsCompressedCache() {
    String pack = folder.resolve("p").toString();
    Path checkpoint = Fixtures.tinyDeepSeek();
    assertEquals(0, moxie("convert", checkpoint.toString(), pack, "--mtp", "keep").status());
    for (String execution : List.of("plain", "fused")) {
      Outcome run =
          moxie(
              "run",
              pack,
              "--prompt",
              "Once upon a time a small owl",
              "--max-tokens",
              "20",
              "--execution",
              execution);
      assertEquals(0, run.status(), run.err());
      assertTrue(run.err().contains("cache of compressed latents"), run.err());
      assertTrue(run.out().startsWith("Once upon a time a small owl named"), run.out());
    }
  }

  @Test
  void aDryRunWritesNothing() {
    String checkpoint = Fixtures.tinyMixtral().toString();
    Outcome outcome =
        moxie("convert", checkpoint, folder.resolve("p").toString(), "--dry-run", "--json");
    assertEquals(0, outcome.status());
    assertEquals(5, StrictJson.mapper(true).readTree(outcome.out()).at("/files").size());
    assertFalse(Files.exists(folder.resolve("p")));
  }

  @Test
  void inspectWorksOnAConfigACheckpointAndAPackage() throws IOException {
    Path checkpoint = Fixtures.tinyMixtral();
    String pack = convert(checkpoint);
    Path config = Files.copy(checkpoint.resolve("config.json"), folder.resolve("config.json"));
    for (String path : List.of(config.toString(), checkpoint.toString(), pack)) {
      Outcome text = moxie("inspect", path);
      assertTrue(text.out().contains("2.30 M in all, 0.82 M active"), text.out());
      JsonNode json = StrictJson.mapper(true).readTree(moxie("inspect", path, "--json").out());
      assertEquals(2_299_008, json.at("/parameters/total").longValue());
    }
    Path graph = folder.resolve("model.onnx");
    assertEquals(0, moxie("inspect", pack, "--onnx", graph.toString()).status());
    assertTrue(Files.size(graph) < 100_000, "weights stay in the package");
  }

  @Test
  void aSyntheticCheckpointConvertsAndVerifies() {
    String checkpoint = folder.resolve("c").toString();
    assertEquals(0, moxie("synth", checkpoint, "--mebibytes", "12").status());
    String pack = convert(Path.of(checkpoint));
    assertEquals(0, moxie("verify", pack, "--source", checkpoint).status());
    assertOneSentence(2, moxie("synth", checkpoint));
    assertFalse(moxie("--help").out().contains("synth"), "it is for measuring, not for users");
  }

  @Test
  void aWholeReleaseCanBeSynthesisedWithoutItsBytesAndInspected() {
    String checkpoint = folder.resolve("c").toString();
    String config = Fixtures.config("deepseek-v3").toString();
    Outcome outcome = moxie("synth", checkpoint, "--config", config, "--shards", "163", "--sparse");
    assertEquals(0, outcome.status(), outcome.err());
    assertTrue(outcome.out().contains("91,991 tensors in 163 weight files"), outcome.out());
    Outcome inspected = moxie("inspect", checkpoint);
    assertEquals(0, inspected.status(), inspected.err());
    assertTrue(inspected.out().contains("671 B in all"), inspected.out());
  }

  @Test
  void aSyntheticCheckpointTakesOtherNumbersThanItsConfig() {
    String checkpoint = folder.resolve("c").toString();
    String config = Fixtures.config("deepseek-v2-lite").toString();
    Outcome outcome =
        moxie(
            "synth",
            checkpoint,
            "--config=" + config,
            "--set=num_hidden_layers=2",
            "--set=n_routed_experts=8",
            "--scale=0.01",
            "--max-shard-size=4MB",
            "--seed=9");
    assertEquals(0, outcome.status(), outcome.err());
    assertEquals(0, moxie("verify", convert(Path.of(checkpoint)), "--source", checkpoint).status());
  }

  @Test
  void whatCannotBeSynthesisedIsSaidInOneSentence() {
    String folder = this.folder.resolve("c").toString();
    String config = Fixtures.config("mixtral-8x7b").toString();
    assertOneSentence(2, moxie("synth", folder, "--mebibytes", "0"));
    assertOneSentence(2, moxie("synth", folder, "--mebibytes", "9", "--config", config));
    assertOneSentence(2, moxie("synth", folder, "--scale", "2"));
    assertOneSentence(2, moxie("synth", folder, "--set", "vocab_size=9"));
    assertOneSentence(2, moxie("synth", folder, "--config", config, "--set", "vocab_size"));
    assertOneSentence(2, moxie("synth", folder, "--config", config, "--set", "vocab_size=x"));
    assertOneSentence(2, moxie("synth", folder, "--config", config, "--scale", "0"));
    assertOneSentence(2, moxie("synth", folder, "--config", config, "--max-shard-size", "5XB"));
    assertOneSentence(2, moxie("synth", folder, "--shards", "0"));
    assertOneSentence(2, moxie("synth", folder, "--shards", "2", "--max-shard-size", "5GB"));
    assertOneSentence(2, moxie("synth", folder, "--config", folder));
    assertOneSentence(3, moxie("synth", folder, "--config", config, "--set", "mirrors=2"));
    assertFalse(Files.exists(Path.of(folder)));
  }

  @Test
  void versionNamesTheBuild() {
    assertTrue(moxie("--version").out().startsWith("moxie 0."), moxie("--version").out());
  }

  private static void assertOneSentence(int status, Outcome outcome) {
    assertEquals(status, outcome.status(), outcome.err());
    assertEquals(1, outcome.err().lines().count(), outcome.err());
    assertTrue(outcome.err().startsWith("moxie: "), outcome.err());
    assertNoStackTrace(outcome);
  }

  private static void assertNoStackTrace(Outcome outcome) {
    assertFalse(outcome.err().contains("\tat "), outcome.err());
    assertFalse(outcome.err().contains("bug in Moxie"), outcome.err());
  }
}
