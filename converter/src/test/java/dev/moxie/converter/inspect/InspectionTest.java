package dev.moxie.converter.inspect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.ParameterCount;
import java.util.Locale;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InspectionTest {
  /**
   * Published figures: Mistral AI, "Mixtral of Experts" and "Cheaper, Better, Faster, Stronger",
   * where active parameters include the embedding; DeepSeek-AI, "DeepSeek-V2" (with its appendix on
   * V2-Lite) and "DeepSeek-V3 Technical Report", where they are those of {@code activeInside}.
   */
  @ParameterizedTest
  @CsvSource({
    "mixtral-8x7b, 46.7, 12.9, true",
    "mixtral-8x22b, 141, 39, true",
    "deepseek-v2, 236, 21, false",
    "deepseek-v2-lite, 15.7, 2.4, false",
    "deepseek-v3, 671, 37, false"
  })
  void countsWhatThePublishersCount(
      String config, String total, String active, boolean withEmbedding) {
    ParameterCount count = config(config).parameters();
    assertEquals(total, billions(count.total(), total));
    assertEquals(active, billions(withEmbedding ? count.active() : count.activeInside(), active));
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
    assertEquals("11.5", billions(count.prediction() - 2L * 129280 * 7168 - 100_000_000, "0.0"));
  }

  private static Inspection config(String name) {
    return Inspection.of(Fixtures.config(name), Set.of());
  }

  private static String billions(long count, String like) {
    int digits = like.contains(".") ? 1 : 0;
    return String.format(Locale.ROOT, "%." + digits + "f", count / 1e9);
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
