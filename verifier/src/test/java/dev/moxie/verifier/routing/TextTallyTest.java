package dev.moxie.verifier.routing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Differences between texts, where it is known whether there are any. */
class TextTallyTest {
  private static final int EXPERTS = 8;
  private static final int LENGTH = 200;

  /**
   * One of several texts.
   *
   * @param experts from the expert that anybody's token would have chosen to this text's
   */
  private static void text(
      TextTally tally, String name, int sequences, Random random, IntUnaryOperator experts) {
    for (int s = 0; s < sequences; s++) {
      tally.begin(name);
      int expert = random.nextInt(EXPERTS);
      for (int t = 0; t < LENGTH; t++) {
        // Tokens that follow each other mostly choose alike.
        expert = random.nextInt(8) > 0 ? expert : random.nextInt(EXPERTS);
        int chosen = experts.applyAsInt(expert);
        tally.add(new int[] {chosen, (chosen + 1 + random.nextInt(EXPERTS - 1)) % EXPERTS});
      }
    }
  }

  private static LayerTexts layer(int sequences, long seed, IntUnaryOperator last) {
    var random = new Random(seed);
    var tally = new TextTally(5, EXPERTS);
    text(tally, "a", sequences, random, expert -> expert);
    text(tally, "b", sequences, random, expert -> expert);
    text(tally, "c", sequences, random, last);
    return tally.texts();
  }

  /** Though runs of their tokens choose alike, which independent ones would not. */
  @Test
  void textsThatChooseAlikeAreToldApartInHardlyAnyLayer() {
    long told =
        IntStream.range(0, 500)
            .mapToObj(seed -> layer(12, seed, expert -> expert))
            .filter(
                layer ->
                    layer.texts().stream()
                        .anyMatch(use -> !use.more().isEmpty() || !use.less().isEmpty()))
            .count();
    // Five are expected at most; more than fifteen come about in one of ten thousand such tests.
    assertTrue(told <= 15, told + " of 500");
  }

  @Test
  void anExpertThatOneTextPrefersIsNamedThereAndTheOneItAvoidsToo() {
    LayerTexts layer = layer(60, 1, expert -> expert == 2 ? 6 : expert);
    assertEquals(5, layer.layer());
    TextUse use = layer.texts().getLast();
    assertEquals("c", use.text());
    assertEquals(List.of(6), use.more().stream().map(Preference::expert).toList());
    assertEquals(List.of(2), use.less().stream().map(Preference::expert).toList());
    assertTrue(use.more().getFirst().share() > use.more().getFirst().elsewhere());
    assertEquals(60 * LENGTH, use.tokens());
    assertEquals(60 * (LENGTH / BlockTally.TOKENS), use.blocks());
    assertEquals(2L * 60 * LENGTH, use.counts().stream().mapToLong(Long::longValue).sum());
  }

  /** However clear the difference is. */
  @Test
  void lessThanTwoBlocksTellNothing() {
    var tally = new TextTally(0, EXPERTS);
    text(tally, "long", 12, new Random(1), expert -> 1);
    tally.begin("short");
    IntStream.range(0, 2 * BlockTally.TOKENS - 1).forEach(t -> tally.add(new int[] {3}));
    for (TextUse use : tally.texts().texts()) {
      assertFalse(use.told(), use.text());
      assertEquals(List.of(), use.more());
    }
  }

  /** Neither what nobody chooses nor what everybody does is a difference. */
  @Test
  void whatEverybodyChoosesAndWhatNobodyDoesIsNoDifference() {
    var tally = new TextTally(0, EXPERTS);
    for (String name : List.of("a", "b")) {
      tally.begin(name);
      IntStream.range(0, 20 * BlockTally.TOKENS).forEach(t -> tally.add(new int[] {0}));
    }
    for (TextUse use : tally.texts().texts()) {
      assertTrue(use.told());
      assertEquals(List.of(), use.more());
      assertEquals(List.of(), use.less());
    }
  }
}
