package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.model.Routing;
import org.junit.jupiter.api.Test;

class MarginTest {
  @Test
  void theMarginIsBetweenTheLastChosenAndTheFirstRejected() {
    Margin margin = Margin.of(new float[] {0.125f, 0.5f, 0.375f}, 2);
    assertEquals(new Margin(0.375f, 0.125f), margin);
    assertEquals(0.25, margin.gap());
    assertFalse(margin.isWithinFloat32());
    assertNull(Margin.of(new float[] {1, 2, 3}, 3), "nothing is rejected");
  }

  @Test
  void equalValuesHaveNoMarginAndNeighboursInFloat32HaveLittle() {
    Margin equal = Margin.of(new float[] {2, 2}, 1);
    assertEquals(0, equal.gap());
    assertTrue(equal.isWithinFloat32());
    assertTrue(new Margin(0.5f, Math.nextDown(0.5f)).isWithinFloat32());
    assertFalse(new Margin(0.5f, 0.5f - 0x1p-23f).isWithinFloat32());
  }

  @Test
  void withGroupsTheCloserOfExpertsAndGroupsIsTheMargin() {
    assertEquals(
        new Margin(3, 2),
        Margin.of(new float[] {3, 2, 0.5f, 0}, 1, new float[] {3, 0.5f}, 1),
        "among experts: group 1 is far, expert 1 nearer");
    assertEquals(
        new Margin(3, 2.5f),
        Margin.of(new float[] {3, 1, 2.5f, 2}, 1, new float[] {3, 2.5f}, 1),
        "among groups: expert 2 is no candidate, but its group nearly is");
    assertEquals(
        new Margin(3, 2),
        Margin.of(new float[] {3, 1, 2, 0}, 2, new float[] {3, 2}, 1),
        "the kept group has no expert to reject");
    assertEquals(
        new Margin(3, 2),
        Margin.of(new float[] {3, 1, 2, 0}, 1, new float[] {3, 2}, 2),
        "all groups are kept");
  }

  @Test
  void ofPrototypesTheClosestCounts() {
    var routing = Routing.of(2, Routing.Score.SOFTMAX).withPrototypes(2);
    float[] choice = {0.75f, 0.25f, 0.5f, 0.375f};
    assertEquals(new Margin(0.5f, 0.375f), Margin.of(routing, choice, null));
    assertNull(Margin.of(routing, new float[] {1, 1}, null), "nothing is rejected");
  }
}
