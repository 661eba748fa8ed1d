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
    Routing.Groups groups = moe.routing().groups();
    return of(
        moe.routing(),
        row(mixture.choice(), token, moe.experts()),
        groups == null || mixture.groups() == null
            ? null
            : row(mixture.groups(), token, groups.count()));
  }

  /**
   * The same.
   *
   * @param choice what experts were chosen by, before any mask
   * @param groups what groups were; null without
   */
  static @Nullable Margin of(Routing routing, float[] choice, float @Nullable [] groups) {
    return routing.groups() == null || groups == null
        ? ofSets(choice, routing.expertsPerToken() / routing.sets(), routing.sets())
        : of(choice, routing.expertsPerToken(), groups, routing.groups().kept());
  }

  /** The closest of those of sets of neighbours, from each of which so many are taken. */
  private static @Nullable Margin ofSets(float[] choice, int taken, int sets) {
    int size = choice.length / sets;
    Margin closest = null;
    for (int from = 0; from < choice.length; from += size) {
      Margin margin = of(Arrays.copyOfRange(choice, from, from + size), taken);
      if (closest == null || (margin != null && margin.gap() < closest.gap())) {
        closest = margin;
      }
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
    int size = values.length / groups.length;
    float[] eligible = new float[kept * size];
    int place = 0;
    for (int g : largest(groups, kept)) {
      System.arraycopy(values, g * size, eligible, place, size);
      place += size;
    }
    Margin ofValues = of(eligible, taken);
    Margin ofGroups = of(groups, kept);
    if (ofValues == null || ofGroups == null) {
      return ofValues == null ? ofGroups : ofValues;
    }
    return ofGroups.gap() < ofValues.gap() ? ofGroups : ofValues;
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
