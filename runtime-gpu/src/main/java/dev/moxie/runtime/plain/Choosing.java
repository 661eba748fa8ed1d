package dev.moxie.runtime.plain;

import dev.moxie.format.model.Routing;
import java.util.Arrays;

/** The part of a routing equation that chooses, for one token. */
final class Choosing {
  private Choosing() {}

  /**
   * A number for each group.
   *
   * @param at where the values of all experts begin
   * @param to where the groups' numbers go
   */
  static void aggregate(
      Routing.Groups limits, float[] values, int at, int experts, float[] groups, int to) {
    int size = experts / limits.count();
    for (int g = 0; g < limits.count(); g++) {
      double first = Double.NEGATIVE_INFINITY;
      double second = first;
      for (int e = at + g * size; e < at + (g + 1) * size; e++) {
        second = Math.max(second, Math.min(first, values[e]));
        first = Math.max(first, values[e]);
      }
      groups[to + g] =
          (float)
              switch (limits.aggregate()) {
                case MAXIMUM -> first;
                case SUM_OF_TOP_TWO -> first + second;
              };
    }
  }

  /** Masks the values outside the groups that are kept. */
  static void limit(
      Routing.Groups limits, float[] groups, int from, float[] values, int at, int experts) {
    int size = experts / limits.count();
    float mask =
        switch (limits.maskValue()) {
          case ZERO -> 0;
          case NEGATIVE_INFINITY -> Float.NEGATIVE_INFINITY;
        };
    for (int g = 0; g < limits.count(); g++) {
      if (rank(groups, from, limits.count(), g) >= limits.kept()) {
        Arrays.fill(values, at + g * size, at + (g + 1) * size, mask);
      }
    }
  }

  /** How many of some numbers come before one of them: larger ones, and equal ones before it. */
  private static int rank(float[] values, int at, int count, int of) {
    float value = values[at + of];
    int before = 0;
    for (int i = 0; i < count; i++) {
      boolean equal = values[at + i] == value;
      if (values[at + i] > value || (equal && i < of)) {
        before++;
      }
    }
    return before;
  }

  /** The indices of the largest, largest first; of equal ones the lower. NaN counts as least. */
  static void largest(float[] values, int at, int count, float[] chosen, int to, int wanted) {
    float last = Float.POSITIVE_INFINITY;
    int lastIndex = -1;
    for (int i = 0; i < wanted; i++) {
      float best = Float.NEGATIVE_INFINITY;
      int next = -1;
      for (int e = 0; e < count; e++) {
        float value = number(values[at + e]);
        boolean follows = value < last || (value == last && e > lastIndex);
        if (follows && (next < 0 || value > best)) {
          best = value;
          next = e;
        }
      }
      chosen[to + i] = next;
      last = best;
      lastIndex = next;
    }
  }

  /**
   * The weight of one of the chosen among those near it.
   *
   * @param at where the values of all experts begin
   * @param from where the ids of the chosen begin
   * @param place of the one that is meant among them
   */
  static double share(
      Routing.Mixer mixer,
      float[] values,
      int at,
      int experts,
      float[] chosen,
      int from,
      int count,
      int place) {
    float own = values[at + (int) chosen[from + place]];
    double total = 0;
    for (int e = 0; e < experts; e++) {
      float other = values[at + e];
      if (mixer.isNear(own, other)
          && (other < own || !isBefore(e, values, at, chosen, from, count, place))) {
        total += StrictMath.exp(other - own);
      }
    }
    return 1 / total;
  }

  /** Whether an expert whose value is at least that of one of the chosen is chosen before it. */
  private static boolean isBefore(
      int expert, float[] values, int at, float[] chosen, int from, int count, int place) {
    float own = values[at + (int) chosen[from + place]];
    for (int i = 0; i < count; i++) {
      if ((int) chosen[from + i] == expert) {
        return values[at + expert] > own || i < place;
      }
    }
    return false;
  }

  private static float number(float value) {
    return Float.isNaN(value) ? Float.NEGATIVE_INFINITY : value;
  }
}
