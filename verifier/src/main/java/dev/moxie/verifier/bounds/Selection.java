package dev.moxie.verifier.bounds;

import dev.moxie.format.model.Routing;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.RoutingOracle;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** Which sets of experts a right implementation may have chosen, rounding being what it is. */
public final class Selection {
  private final Routing routing;
  private final Estimate choice;
  private final @Nullable Estimate groups;

  /** The choices of T tokens, as the oracle computed what they are chosen by. */
  public Selection(RoutingOracle.Routed routed) {
    this.routing = routed.routing();
    this.choice = routed.choice();
    this.groups = routed.groups();
  }

  /** Those of a layer that has experts. */
  public static Selection of(Oracle.Layer layer) {
    return new Selection(Objects.requireNonNull(layer.routed()));
  }

  /** Whether rounding may change the weights of the same experts by any amount. */
  public boolean mixes() {
    return routing.mixer() != null;
  }

  /** Expert ids without their order, which means nothing. */
  public static Set<Integer> set(int[] experts) {
    Set<Integer> set = new HashSet<>();
    for (int expert : experts) {
      set.add(expert);
    }
    return set;
  }

  /**
   * The first token whose choice rounding may change, or whom its experts compete with; the number
   * of tokens if there is none.
   */
  public int firstUnclear() {
    for (int t = 0; t < choice.rows(); t++) {
      if (!isClear(t)) {
        return t;
      }
    }
    return choice.rows();
  }

  private boolean isClear(int token) {
    Set<Integer> kept = largestGroups(token);
    if (groups != null) {
      for (int out = 0; out < groups.columns(); out++) {
        for (int in : kept) {
          if (!kept.contains(out) && mayReach(groups, token, out, in)) {
            return false;
          }
        }
      }
    }
    List<Integer> eligible = eligible(token, kept);
    for (List<Integer> set : sets(eligible)) {
      for (int chosen : set.subList(0, each())) {
        for (int other : set.subList(each(), set.size())) {
          if (mayReach(choice, token, other, chosen)) {
            return false;
          }
        }
      }
    }
    Routing.Mixer mixer = routing.mixer();
    return mixer == null
        || competesClearly(mixer, token, eligible.subList(0, routing.expertsPerToken()));
  }

  /** Whether rounding changes neither who is near a chosen expert nor which of two is before. */
  private boolean competesClearly(Routing.Mixer mixer, int token, List<Integer> chosen) {
    for (int own : chosen) {
      for (int other = 0; other < choice.columns(); other++) {
        double v = choice.value(token, own);
        double o = choice.value(token, other);
        double away = Math.abs(v - o - mixer.tolerance() * Math.max(Math.abs(o), v));
        double apart = chosen.contains(other) ? Math.min(away, Math.abs(v - o)) : away;
        double error = Math.hypot(choice.error(token, own), choice.error(token, other));
        if (other != own && apart <= Tolerance.bound(error, elements())) {
          return false;
        }
      }
    }
    return true;
  }

  /** Experts that are chosen of a set. */
  private int each() {
    return routing.expertsPerToken() / (isNested() ? routing.keptGroups() : routing.sets());
  }

  /** Whether of each kept group as many are chosen. */
  private boolean isNested() {
    return routing.hierarchy() != null;
  }

  /** Those of experts that are of each prototype, or kept group, or all, in their order. */
  private List<List<Integer>> sets(Collection<Integer> experts) {
    int count = isNested() ? routing.groupCount() : routing.sets();
    int size = choice.columns() / count;
    return IntStream.range(0, count)
        .mapToObj(set -> experts.stream().filter(e -> e / size == set).toList())
        .filter(set -> !isNested() || !set.isEmpty())
        .toList();
  }

  private long elements() {
    return (long) choice.rows() * choice.columns();
  }

  /**
   * Whether rounding may have led to this set. Without groups: every chosen value may reach every
   * other, of its prototype where there are some. With groups: some set of kept groups contains all
   * chosen experts, may have been kept, and leaves no expert that certainly beats a chosen one. Of
   * the groups without a chosen expert, those are tried that leave none and may reach every one
   * that does not; the largest first, which finds a set of kept groups if there is one and errors
   * are alike. Where of each kept group as many are chosen, no group is without.
   */
  public boolean mayChoose(int token, Set<Integer> experts) {
    if (groups == null) {
      return mayChooseOfEach(token, experts);
    }
    if (isNested() && sets(experts).stream().anyMatch(set -> set.size() != each())) {
      return false;
    }
    int size = choice.columns() / groups.columns();
    Set<Integer> kept = new TreeSet<>();
    experts.forEach(expert -> kept.add(expert / size));
    for (int group : kept) {
      if (!mayBeat(token, experts, group * size, (group + 1) * size)) {
        return false;
      }
    }
    if (!isNested()) {
      keepOthers(token, experts, groups, kept);
    }
    if (kept.size() != routing.keptGroups()) {
      return false;
    }
    for (int out = 0; out < groups.columns(); out++) {
      for (int in : kept) {
        if (!kept.contains(out) && !mayReach(groups, token, in, out)) {
          return false;
        }
      }
    }
    return true;
  }

  /** Adds groups without a chosen expert, as far as some are kept besides. */
  private void keepOthers(int token, Set<Integer> experts, Estimate groups, Set<Integer> kept) {
    int size = choice.columns() / groups.columns();
    List<Integer> harmful = new ArrayList<>();
    for (int group = 0; group < groups.columns(); group++) {
      if (!kept.contains(group) && !mayBeat(token, experts, group * size, (group + 1) * size)) {
        harmful.add(group);
      }
    }
    for (int group : descending(groups, token)) {
      boolean eligible =
          !harmful.contains(group)
              && harmful.stream().allMatch(out -> mayReach(groups, token, group, out));
      if (eligible && kept.size() < routing.keptGroups()) {
        kept.add(group);
      }
    }
  }

  private boolean mayChooseOfEach(int token, Set<Integer> experts) {
    int size = choice.columns() / routing.sets();
    List<List<Integer>> sets = sets(experts);
    return IntStream.range(0, sets.size())
        .allMatch(
            i ->
                sets.get(i).size() == each()
                    && mayBeat(token, Set.copyOf(sets.get(i)), i * size, (i + 1) * size));
  }

  /** Whether every expert of the set may reach every other one of a range. */
  private boolean mayBeat(int token, Set<Integer> experts, int from, int to) {
    for (int other = from; other < to; other++) {
      for (int chosen : experts) {
        if (!experts.contains(other) && !mayReach(choice, token, chosen, other)) {
          return false;
        }
      }
    }
    return true;
  }

  /**
   * Smallest gap of a token's choice: between the last chosen expert and the first rejected one of
   * the kept groups, or between the last kept group and the first rejected. Infinite where nothing
   * is rejected.
   */
  public double margin(int token) {
    List<Integer> eligible = eligible(token, largestGroups(token));
    double margin = Double.POSITIVE_INFINITY;
    for (List<Integer> set : sets(eligible)) {
      margin = Math.min(margin, gap(choice, token, set, each()));
    }
    if (groups == null) {
      return margin;
    }
    List<Integer> order = descending(groups, token);
    return Math.min(margin, gap(groups, token, order, routing.keptGroups()));
  }

  private static double gap(Estimate values, int token, List<Integer> descending, int taken) {
    return taken < descending.size()
        ? values.value(token, descending.get(taken - 1))
            - values.value(token, descending.get(taken))
        : Double.POSITIVE_INFINITY;
  }

  private Set<Integer> largestGroups(int token) {
    return groups == null
        ? Set.of(0)
        : new HashSet<>(descending(groups, token).subList(0, routing.keptGroups()));
  }

  /** Experts of the kept groups, best first. */
  private List<Integer> eligible(int token, Set<Integer> kept) {
    int size = groups == null ? choice.columns() : choice.columns() / groups.columns();
    return descending(choice, token).stream().filter(e -> kept.contains(e / size)).toList();
  }

  private static List<Integer> descending(Estimate values, int token) {
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < values.columns(); i++) {
      order.add(i);
    }
    order.sort(Comparator.comparingDouble((Integer i) -> -values.value(token, i)));
    return order;
  }

  /** Whether rounding may have made {@code low} at least as large as {@code high}. */
  private static boolean mayReach(Estimate values, int token, int low, int high) {
    double gap = values.value(token, high) - values.value(token, low);
    double error = Math.hypot(values.error(token, high), values.error(token, low));
    return gap <= Tolerance.bound(error, (long) values.rows() * values.columns());
  }
}
