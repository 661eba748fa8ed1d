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
   * Published figures: Mistral AI, "Mixtral of Experts" and "Cheaper, Better, Faster, Stronger".
   */
  @ParameterizedTest
  @CsvSource({"mixtral-8x7b, 46.7, 12.9", "mixtral-8x22b, 141, 39"})
  void countsWhatThePublishersCount(String config, String total, String active) {
    ParameterCount count =
        Inspection.of(Fixtures.root().resolve("configs/" + config + ".json"), Set.of())
            .parameters();
    assertEquals(total, billions(count.total(), total));
    assertEquals(active, billions(count.active(), active));
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
