package dev.moxie.runtime.plain;

import dev.moxie.format.model.Routing;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The part of a routing equation that chooses. */
final class Choosing {
  private Choosing() {}

  /** A number for each group, [T, count]. */
  static Activation aggregates(Routing.Groups limits, Activation values) {
    int size = values.columns() / limits.count();
    var aggregates = new Activation(values.rows(), limits.count());
    for (int t = 0; t < values.rows(); t++) {
      for (int g = 0; g < limits.count(); g++) {
        float[] group = Arrays.copyOfRange(values.row(t), g * size, (g + 1) * size);
        Arrays.sort(group);
        double aggregate =
            switch (limits.aggregate()) {
              case MAXIMUM -> group[size - 1];
              case SUM_OF_TOP_TWO -> (double) group[size - 1] + group[size - 2];
            };
        aggregates.set(t, g, aggregate);
      }
    }
    return aggregates;
  }

  /** The values with those outside the kept groups masked. */
  static Activation limited(Routing.Groups limits, Activation unlimited, Activation aggregates) {
    int size = unlimited.columns() / limits.count();
    Activation limited = unlimited.copy();
    float mask =
        switch (limits.maskValue()) {
          case ZERO -> 0;
          case NEGATIVE_INFINITY -> Float.NEGATIVE_INFINITY;
        };
    for (int t = 0; t < unlimited.rows(); t++) {
      int[] order = largest(aggregates.row(t), limits.count());
      for (int i = limits.kept(); i < order.length; i++) {
        for (int e = order[i] * size; e < (order[i] + 1) * size; e++) {
          limited.set(t, e, mask);
        }
      }
    }
    return limited;
  }

  /**
   * The experts of largest value, [T, count].
   *
   * @param replayed the experts of each token where the caller decides them, else null
   */
  static Activation top(Activation values, int count, @Nullable List<int[]> replayed) {
    var chosen = new Activation(values.rows(), count);
    for (int t = 0; t < values.rows(); t++) {
      int[] experts = replayed == null ? largest(values.row(t), count) : replayed.get(t);
      for (int i = 0; i < count; i++) {
        chosen.set(t, i, experts[i]);
      }
    }
    return chosen;
  }

  /** The indices of the largest, largest first; of equal ones the lower. */
  private static int[] largest(float[] values, int count) {
    boolean[] taken = new boolean[values.length];
    int[] best = new int[count];
    for (int i = 0; i < count; i++) {
      int next = -1;
      for (int e = 0; e < values.length; e++) {
        if (!taken[e] && (next < 0 || values[e] > values[next])) {
          next = e;
        }
      }
      taken[next] = true;
      best[i] = next;
    }
    return best;
  }

  /** The weights of the chosen, [T, k]. */
  static Activation weights(
      Activation values,
      Activation chosen,
      Routing.@Nullable Normalisation normalisation,
      double scale) {
    var w = new Activation(chosen.rows(), chosen.columns());
    for (int t = 0; t < chosen.rows(); t++) {
      double sum = 0;
      for (int i = 0; i < chosen.columns(); i++) {
        sum += values.at(t, (int) chosen.at(t, i));
      }
      double divisor = normalisation == null ? 1 : normalisation.divisor(sum);
      for (int i = 0; i < chosen.columns(); i++) {
        w.set(t, i, values.at(t, (int) chosen.at(t, i)) / divisor * scale);
      }
    }
    return w;
  }
}
