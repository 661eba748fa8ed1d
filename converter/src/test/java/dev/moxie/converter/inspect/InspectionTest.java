package dev.moxie.converter.inspect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.EditedCheckpoint;
import dev.moxie.converter.family.Evidence;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.encoding.Quantiser;
import dev.moxie.format.model.ParameterCount;
import dev.moxie.format.model.PartCount;
import dev.moxie.format.pack.Manifest;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.MethodSource;

class InspectionTest {
  /**
   * What a publisher counts, in billions and to the digits that are published.
   *
   * @param withEmbedding whether active parameters include the embedding, or are those of {@code
   *     activeInside}
   */
  record Published(String config, String total, String active, boolean withEmbedding) {}

  /**
   * With the embedding: Mistral AI, "Mixtral of Experts" and "Cheaper, Better, Faster, Stronger";
   * Qwen Team, "Qwen2 Technical Report" and "Qwen3 Technical Report", and the cards of
   * Qwen3-30B-A3B and Qwen3-Coder; Muennighoff et al., "OLMoE"; Databricks, "Introducing DBRX";
   * Meta, "The Llama 4 herd". Without: DeepSeek-AI, "DeepSeek-V2" (with its appendix on V2-Lite)
   * and "DeepSeek-V3 Technical Report"; Moonshot AI, "Kimi K2"; OpenAI, "gpt-oss-120b and
   * gpt-oss-20b Model Card"; MiniMax, the card of M2.
   */
  static final List<Published> PUBLISHED =
      List.of(
          new Published("mixtral-8x7b", "46.7", "12.9", true),
          new Published("mixtral-8x22b", "141", "39", true),
          new Published("qwen2-57b-a14b", "57", "14", true),
          new Published("qwen3-30b-a3b", "30.5", "3", true),
          new Published("qwen3-235b-a22b", "235", "22", true),
          new Published("qwen3-coder-480b-a35b", "480", "35", true),
          new Published("olmoe-1b-7b", "6.9", "1.3", true),
          new Published("dbrx", "132", "36", true),
          new Published("llama-4-maverick", "40E1", "17", true),
          new Published("deepseek-v2", "236", "21", false),
          new Published("deepseek-v2-lite", "15.7", "2.4", false),
          new Published("deepseek-v3", "671", "37", false),
          new Published("kimi-k2", "1E3", "32", false),
          new Published("gpt-oss-20b", "20.9", "3.6", false),
          new Published("gpt-oss-120b", "116.8", "5.1", false),
          new Published("minimax-m2.5", "23E1", "10", false));

  @ParameterizedTest
  @FieldSource("PUBLISHED")
  void countsWhatThePublishersCount(Published published) {
    ParameterCount count = config(published.config()).parameters();
    assertRounded(published.total(), count.total());
    assertRounded(
        published.active(), published.withEmbedding() ? count.active() : count.activeInside());
  }

  @Test
  void everyTotalThatIsClaimedIsHeldToAPublishedOne() {
    assertEquals(
        PUBLISHED.stream().map(Published::config).sorted().toList(),
        Evidence.all().stream()
            .map(Evidence::totals)
            .filter(Objects::nonNull)
            .flatMap(List::stream)
            .sorted()
            .toList());
  }

  /** As many bytes as convert writes. */
  @Test
  void whatFitsIsWhatAConversionTakes(@TempDir Path folder) {
    Fit.of(config("mixtral-8x7b").architecture(), 1L << 40, 1)
        .forEach(fit -> assertTrue(fit.fits(), fit.options()));
    Inspection inspection = Inspection.of(Fixtures.tinyMixtral(), Set.of()).fitting(1_500_000);
    Fit int4 =
        inspection.fits().stream()
            .filter(fit -> fit.options().equals("--quantize int4 --quantize-what all"))
            .findFirst()
            .orElseThrow();
    var quantisation =
        new Manifest.Quantisation("int4_block_32", Manifest.Matrices.ALL, Quantiser.Method.NEAREST);
    Path pack = folder.resolve("p");
    EditedCheckpoint.convert(
            Fixtures.tinyMixtral(),
            pack,
            new Conversion(Set.of(), null, null, quantisation, Manifest.Layout.PLAIN))
        .close();
    Inspection.Weights weights = Inspection.of(pack, Set.of()).weights();
    assertEquals(weights.bytes(), int4.bytes());
    assertEquals(
        weights.bytes(),
        weights.bytesByEncoding().values().stream().mapToLong(Long::longValue).sum());
    assertEquals(
        weights.bytes(), weights.bytesByPart().values().stream().mapToLong(Long::longValue).sum());
    assertEquals("routed experts", weights.bytesByPart().keySet().iterator().next());
    assertEquals((1_500_000 - int4.bytes()) / 2048, int4.tokens());
    assertTrue(inspection.text().contains("does not fit --dtype bf16"), inspection.text());
  }

  static Stream<Path> described() throws IOException {
    try (Stream<Path> families = Files.list(Fixtures.root().resolve("random"));
        Stream<Path> configs = Files.list(Fixtures.root().resolve("configs"))) {
      return Stream.concat(
          families.map(family -> family.resolve("config.json")).sorted(), configs.sorted())
          .toList()
          .stream();
    }
  }

  @ParameterizedTest
  @MethodSource("described")
  void everyParameterBelongsToOnePart(Path config) {
    Inspection inspection = Inspection.of(config, Set.of());
    List<PartCount> parts = inspection.parts();
    ParameterCount count = inspection.parameters();
    assertEquals(count.total(), parts.stream().mapToLong(PartCount::total).sum());
    assertEquals(count.active(), parts.stream().mapToLong(PartCount::active).sum());
    long routed =
        parts.stream()
            .filter(part -> part.part().equals("routed experts"))
            .mapToLong(PartCount::total)
            .sum();
    assertEquals(count.routed(), routed);
    assertTrue(inspection.text().contains("routed experts"), inspection.text());
  }

  @Test
  void valuesOfAnotherWidthAndGatesOfTheirOwnAreSaid() {
    Path random = Fixtures.root().resolve("random");
    String other = Inspection.of(random.resolve("mimo_v2_flash"), Set.of()).text();
    assertTrue(other.matches("(?s).* key/value heads of \\d+ and \\d+; rotary .*"), other);
    String gated = Inspection.of(random.resolve("laguna"), Set.of()).text();
    assertTrue(gated.contains("; output gated"), gated);
  }

  /** A cache that does not grow takes no room from a text, however long; what is kept does. */
  @Test
  void layersWithStatesKeepAsMuchOfEverySequence(@TempDir Path folder) throws IOException {
    Path config = Fixtures.root().resolve("random/lfm2_moe/config.json");
    String json = Files.readString(config).replace("\"full_attention\"", "\"conv\"");
    Path states = Files.writeString(folder.resolve("config.json"), json);
    Inspection inspection = Inspection.of(states, Set.of()).fitting(1L << 30);
    assertEquals(0, inspection.cacheBytesPerToken().get("f32"));
    assertTrue(inspection.stateBytesPerSequence() > 0);
    assertTrue(inspection.text().contains("tokens of context: any number"), inspection.text());
  }

  /**
   * DeepSeek-AI, "DeepSeek-V2", table 1: (512 + 64) · 60 numbers per token, not 2 · 128 · 128 · 60.
   */
  @Test
  void theLatentIsWhatIsCached() {
    Inspection inspection = config("deepseek-v2");
    assertEquals(60 * (512 + 64) * 2, inspection.cacheBytesPerToken().get("f16"));
    assertEquals(60 * 128 * (192 + 128) * 2, inspection.expandedCacheBytesPerToken().get("f16"));
    assertTrue(inspection.text().contains("as keys and values of every head"), inspection.text());
  }

  /** DeepSeek-V3's README counts 11.5 B without the copies of embedding and head. */
  @Test
  void multiTokenPredictionIsCountedApart() {
    ParameterCount count = config("deepseek-v3").parameters();
    assertRounded("11.5", count.prediction() - 2L * 129280 * 7168 - 100_000_000);
  }

  private static Inspection config(String name) {
    return Inspection.of(Fixtures.config(name), Set.of());
  }

  private static void assertRounded(String billions, long count) {
    var published = new BigDecimal(billions);
    assertEquals(
        published, BigDecimal.valueOf(count, 9).setScale(published.scale(), RoundingMode.HALF_UP));
  }

  @Test
  void theCountOfACheckpointIsTheCountOfItsTensors() {
    Inspection inspection = Inspection.of(Fixtures.tinyMixtral(), Set.of());
    assertEquals(2_299_008, inspection.parameters().total());
    assertEquals(2 * inspection.parameters().total(), inspection.weights().bytes());
  }

  @Test
  void saysTheRoutingEquationInWordsAndSymbols() {
    String text = Inspection.of(Fixtures.tinyMixtral(), Set.of()).text();
    assertTrue(text.contains("softmax over all 8 experts"), text);
    assertTrue(text.contains("S = top-2(s)"), text);
  }
}
