package dev.moxie.verifier.bounds;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.RoutingOracle;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class SelectionTest {
  private static final Routing.Hierarchy NESTED = new Routing.Hierarchy(4, 2);
  private static final Routing.Groups TWO_OF_FOUR =
      new Routing.Groups(
          4, 2, Routing.Groups.Aggregate.MAXIMUM, Routing.Groups.MaskValue.NEGATIVE_INFINITY);

  /** Experts 0 and 1 are in group 0, 2 and 3 in group 1, and so on. */
  private static Selection selection(double error, float... choice) {
    float[] groups = new float[4];
    for (int g = 0; g < 4; g++) {
      groups[g] = Math.max(choice[2 * g], choice[2 * g + 1]);
    }
    return Selections.of(
        2, TWO_OF_FOUR, Estimate.uniform(choice, 8, error), Estimate.uniform(groups, 4, error));
  }

  @Test
  void anExpertOfAGroupThatIsCertainlyOutMayNotBeChosen() {
    Selection selection = selection(1e-9, .9f, .8f, .7f, .1f, .6f, .5f, .4f, .3f);
    assertTrue(selection.mayChoose(0, Set.of(0, 1)));
    assertFalse(selection.mayChoose(0, Set.of(0, 4)));
    assertEquals(1, selection.firstUnclear());
  }

  @Test
  void aGroupOnTheEdgeMayBringExpertsFarApart() {
    // Groups 1 and 2 tie for the second place; expert 3 comes with group 1, 5 with group 2.
    Selection selection = selection(1e-4, .9f, .1f, .7f, .65f, .7f, .2f, .0f, .0f);
    assertTrue(selection.mayChoose(0, Set.of(0, 2)));
    assertTrue(selection.mayChoose(0, Set.of(0, 4)));
    assertFalse(selection.mayChoose(0, Set.of(0, 3)));
    assertFalse(selection.mayChoose(0, Set.of(2, 4)));
    assertEquals(0, selection.firstUnclear());
    assertEquals(0, selection.margin(0), 1e-6);
  }

  @Test
  void aSetFromMoreGroupsThanAreKeptIsNone() {
    Selection selection = selection(1, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f);
    assertTrue(selection.mayChoose(0, Set.of(0, 7)));
    assertFalse(
        Selections.of(
                3,
                TWO_OF_FOUR,
                Estimate.uniform(new float[8], 8, 1),
                Estimate.uniform(new float[4], 4, 1))
            .mayChoose(0, Set.of(0, 2, 4)));
  }

  @Test
  void ofEachPrototypeAsManyAreChosen() {
    float[] logits = {.9f, .8f, .7f, .6f, .3f, .2f, .1f, .1f};
    var routing = Routing.of(2, Routing.Score.SIGMOID).withPrototypes(2);
    var router = new RoutingOracle(routing, new double[8], Precision.F32);
    var selection = new Selection(router.route(Estimate.uniform(logits, 8, 1e-6), null));
    assertTrue(selection.mayChoose(0, Set.of(0, 4)));
    assertFalse(selection.mayChoose(0, Set.of(0, 1)));
    assertFalse(selection.mayChoose(0, Set.of(0, 5)));
    assertEquals(1, selection.firstUnclear());
    assertEquals(.7109 - .6900, selection.margin(0), 1e-3);
  }

  @Test
  void ofEachKeptGroupAsManyAreChosen() {
    // Of four groups the last is best, the first next; of each of them the first expert.
    float[] logits = {.3f, .1f, .2f, .9f, .5f, .1f, .9f, .8f, .9f, .8f, .4f, .1f};
    var routing = Parts.with(Routing.of(2, Routing.Score.SOFTMAX), "hierarchy", NESTED);
    var router = new RoutingOracle(routing, new double[8], Precision.F32);
    var routed = router.route(Estimate.uniform(logits, 12, 1e-6), null);
    assertArrayEquals(new int[] {6, 0}, routed.experts().getFirst());
    var selection = new Selection(routed);
    assertTrue(selection.mayChoose(0, Set.of(0, 6)));
    assertFalse(selection.mayChoose(0, Set.of(0, 1)));
    assertFalse(selection.mayChoose(0, Set.of(2, 6)));
    assertFalse(selection.mayChoose(0, Set.of(0, 7)));
    assertEquals(1, selection.firstUnclear());
    // Less between the second and the third group than between experts.
    double sum = Math.exp(.3) + Math.exp(.1) + Math.exp(.2) + Math.exp(.9);
    assertEquals((Math.exp(.3) - Math.exp(.2)) / sum, selection.margin(0), 1e-6);
  }

  /** What some values within the errors really lead to is always allowed. */
  @Property(tries = 2000)
  void whatRoundingLeadsToIsAllowed(@ForAll long seed) {
    var random = new Random(seed);
    double error = random.nextBoolean() ? 1e-2 : 1e-3;
    var four = Routing.of(4, Routing.Score.SOFTMAX);
    Routing routing =
        List.of(
                routing(),
                four.withPrototypes(2),
                four.withPrototypes(4),
                Parts.with(four, "hierarchy", NESTED))
            .get(random.nextInt(4));
    int columns = routing.primaryLogits() + 8;
    float[] logits = new float[columns];
    float[] moved = new float[columns];
    for (int e = 0; e < columns; e++) {
      logits[e] = random.nextInt(8) / 8f;
      moved[e] = (float) (logits[e] + error * random.nextGaussian());
    }
    var router = new RoutingOracle(routing, new double[8], Precision.F32);
    Selection selection =
        new Selection(router.route(Estimate.uniform(logits, columns, error), null));
    int[] chosen = router.route(Estimate.exact(moved, columns), null).experts().getFirst();
    Set<Integer> set = new HashSet<>();
    List<Integer> list = new ArrayList<>();
    for (int expert : chosen) {
      set.add(expert);
      list.add(expert);
    }
    assertTrue(selection.mayChoose(0, set), list + " for " + java.util.Arrays.toString(logits));
    int[] own = router.route(Estimate.exact(logits, columns), null).experts().getFirst();
    Set<Integer> clear = Selection.set(own);
    assertTrue(selection.firstUnclear() == 0 || clear.equals(set));
  }

  private static Routing routing() {
    return new Routing(
        2,
        Routing.Score.SIGMOID,
        Routing.Bias.SELECTION,
        new Routing.Groups(
            4,
            2,
            Routing.Groups.Aggregate.SUM_OF_TOP_TWO,
            Routing.Groups.MaskValue.NEGATIVE_INFINITY),
        null,
        1,
        Routing.WeightsApplyTo.EXPERT_OUTPUT,
        Routing.Capacity.UNLIMITED,
        Routing.Ties.LOWER_EXPERT_ID,
        dev.moxie.format.safetensors.Dtype.F32);
  }
}
