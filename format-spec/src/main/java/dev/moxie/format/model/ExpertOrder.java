package dev.moxie.format.model;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Another order for the experts of a layer, which nobody can tell from the first as long as the
 * rows of the router, and the biases of either, go with them: a set of experts is chosen, and the
 * sum over it has no order. Groups and prototypes are of neighbours, so they stay together: they
 * change places as wholes, and experts change places within them; where each is the gate of a task
 * over the same experts, these change places alike in all of them, which keep theirs. Those without
 * weights keep theirs, too.
 */
public final class ExpertOrder {
  private ExpertOrder() {}

  /** Whether an architecture has any experts to put in another order. */
  public static boolean changes(Architecture architecture) {
    return architecture.runs().stream()
        .anyMatch(
            run -> run.feedForward() instanceof FeedForward.MixtureOfExperts m && m.weighted() > 1);
  }

  /**
   * Which expert takes each place, [E]: some order but the first, if there is more than one, and of
   * a layer always the same.
   */
  public static int[] of(int layer, FeedForward.MixtureOfExperts m) {
    List<Integer> first = places(m.experts());
    List<Integer> order = first;
    // By no rotation: experts that are wrong by a rotation would still be wrong alike.
    for (var random = new Random(layer); m.weighted() > 1 && order.equals(first); ) {
      order = shuffled(m, random);
    }
    return order.stream().mapToInt(Integer::intValue).toArray();
  }

  private static List<Integer> shuffled(FeedForward.MixtureOfExperts m, Random random) {
    Routing.Groups limits = m.routing().groups();
    int count = limits == null ? m.routing().sets() : limits.count();
    List<Integer> order = new ArrayList<>();
    if (m.byTask()) {
      List<Integer> all = places(m.weighted());
      Collections.shuffle(all, random);
      for (int task = 0; task < count; task++) {
        int first = task * m.weighted();
        all.forEach(i -> order.add(first + i));
      }
      return order;
    }
    int size = m.weighted() / count;
    List<Integer> groups = places(count);
    Collections.shuffle(groups, random);
    for (int group : groups) {
      List<Integer> within = places(size);
      Collections.shuffle(within, random);
      within.forEach(i -> order.add(group * size + i));
    }
    order.addAll(places(m.experts()).subList(m.weighted(), m.experts()));
    return order;
  }

  private static List<Integer> places(int count) {
    return new ArrayList<>(IntStream.range(0, count).boxed().toList());
  }
}
