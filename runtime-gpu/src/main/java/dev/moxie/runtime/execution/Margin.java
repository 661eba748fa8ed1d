package dev.moxie.runtime.execution;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The closest call in choosing one token's experts: two values, one taken and one rejected.
 *
 * @param taken the smallest value that was taken
 * @param rejected the largest that was rejected
 */
public record Margin(float taken, float rejected) {
  /** How far apart they are; 0 if the tie rule decided. */
  public double gap() {
    return (double) taken - rejected;
  }

  /**
   * Whether two real numbers this close may become these two or change places when they are stored
   * in float32: gap ≤ 2⁻²⁴ (|taken| + |rejected|).
   */
  public boolean isWithinFloat32() {
    return gap() <= 0x1p-24 * ((double) Math.abs(taken) + Math.abs(rejected));
  }

  /** Of what one token's experts were chosen by; null where nothing is rejected. */
  public static @Nullable Margin of(
      FeedForward.MixtureOfExperts moe, Layers.Mixture mixture, int token) {
    float[] groups = mixture.groups();
    return of(
        moe.routing(),
        row(mixture.choice(), token, moe.experts()),
        groups == null ? null : row(groups, token, moe.routing().groupCount()));
  }

  /**
   * The same.
   *
   * @param choice what experts were chosen by, before any mask
   * @param groups what groups were; null without
   */
  static @Nullable Margin of(Routing routing, float[] choice, float @Nullable [] groups) {
    int taken = routing.expertsPerToken();
    if (groups == null) {
      return ofSets(choice, taken / routing.sets(), routing.sets());
    }
    if (routing.hierarchy() == null) {
      return of(choice, taken, groups, routing.keptGroups());
    }
    int kept = routing.keptGroups();
    return closer(ofSets(eligible(choice, groups, kept), taken / kept, kept), of(groups, kept));
  }

  /** The closest of those of sets of neighbours, from each of which so many are taken. */
  private static @Nullable Margin ofSets(float[] choice, int taken, int sets) {
    int size = choice.length / sets;
    Margin closest = null;
    for (int from = 0; from < choice.length; from += size) {
      Margin margin = of(Arrays.copyOfRange(choice, from, from + size), taken);
      closest = closer(margin, closest);
    }
    return closest;
  }

  private static float[] row(float[] matrix, int row, int columns) {
    return Arrays.copyOfRange(matrix, row * columns, (row + 1) * columns);
  }

  /**
   * Between the last that was taken of some values and the first that was not; null where none is
   * rejected.
   */
  static @Nullable Margin of(float[] values, int taken) {
    if (taken >= values.length) {
      return null;
    }
    float[] sorted = values.clone();
    Arrays.sort(sorted);
    return new Margin(sorted[values.length - taken], sorted[values.length - taken - 1]);
  }

  /**
   * The same with groups of neighbours: among the values of the kept ones or, where that is closer,
   * among the groups.
   *
   * @param groups what groups are kept by
   * @param kept how many are
   */
  static @Nullable Margin of(float[] values, int taken, float[] groups, int kept) {
    return closer(of(eligible(values, groups, kept), taken), of(groups, kept));
  }

  private static @Nullable Margin closer(@Nullable Margin a, @Nullable Margin b) {
    if (a == null || b == null) {
      return a == null ? b : a;
    }
    return b.gap() < a.gap() ? b : a;
  }

  /** The values of groups that are kept. */
  private static float[] eligible(float[] values, float[] groups, int kept) {
    int size = values.length / groups.length;
    float[] eligible = new float[kept * size];
    int place = 0;
    for (int g : largest(groups, kept)) {
      System.arraycopy(values, g * size, eligible, place, size);
      place += size;
    }
    return eligible;
  }

  /** Of equal ones the lower. */
  private static int[] largest(float[] values, int count) {
    return IntStream.range(0, values.length)
        .boxed()
        .sorted(Comparator.comparingDouble((Integer i) -> -values[i]))
        .mapToInt(Integer::intValue)
        .limit(count)
        .toArray();
  }
}
