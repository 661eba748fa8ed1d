package dev.moxie.verifier.diff;

import dev.moxie.format.safetensors.Shape;
import dev.moxie.verifier.diff.Tally.Fingerprint;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Leaves of A that differ from their counterparts in B, or have none, and are other leaves of B:
 * experts in another order, gate for up, a tensor under another name. Fingerprints propose, values
 * decide.
 */
final class Likenesses {
  private final Map<Long, Leaf> ordered = new HashMap<>();
  private final Map<Long, Leaf> unordered = new HashMap<>();
  private final Map<String, Stray> namesakes = new HashMap<>();
  private final Map<Leaf, Leaf> equal = new LinkedHashMap<>();
  private final List<Diff.Likeness> others = new ArrayList<>();

  private record Expert(String experts, int number) {
    @Override
    public String toString() {
      return experts + " (expert " + number + ")";
    }
  }

  private Likenesses(List<Stray> straysOfB) {
    for (Stray stray : straysOfB) {
      ordered.putIfAbsent(stray.fingerprint().ordered(), stray.leaf());
      unordered.putIfAbsent(stray.fingerprint().unordered(), stray.leaf());
      namesakes.put(stray.leaf().name(), stray);
    }
  }

  /**
   * Finds them.
   *
   * @param leavesOfA all of them, to know which ones make up an expert
   */
  static List<Diff.Likeness> of(
      Iterable<Leaf> leavesOfA, List<Stray> straysOfA, List<Stray> straysOfB) {
    var likenesses = new Likenesses(straysOfB);
    straysOfA.forEach(stray -> likenesses.find(stray.leaf(), stray.fingerprint()));
    List<Diff.Likeness> found = new ArrayList<>(likenesses.takeExperts(leavesOfA));
    likenesses.equal.forEach(
        (a, b) -> found.add(new Diff.Likeness(Diff.Likeness.Kind.LEAF, a.name(), b.name())));
    found.addAll(likenesses.others);
    return found;
  }

  private void find(Leaf a, Fingerprint fingerprint) {
    Leaf same = ordered.get(fingerprint.ordered());
    if (same != null && same.shape().equals(a.shape()) && areEqual(a, same)) {
      equal.put(a, same);
      return;
    }
    Leaf other = counterpart(a, fingerprint);
    if (other != null && other.shape().equals(a.shape())) {
      var kind =
          isSquare(a.shape()) && areTransposed(a, other)
              ? Diff.Likeness.Kind.TRANSPOSED
              : Diff.Likeness.Kind.REORDERED;
      others.add(new Diff.Likeness(kind, a.name(), other.name()));
    }
  }

  /** A leaf of B with the same values in whatever order: the one of the same name, if it has. */
  private @Nullable Leaf counterpart(Leaf a, Fingerprint fingerprint) {
    Stray namesake = namesakes.get(a.name());
    return namesake != null && namesake.fingerprint().unordered() == fingerprint.unordered()
        ? namesake.leaf()
        : unordered.get(fingerprint.unordered());
  }

  /** Experts all of whose leaves are those of one other expert; their leaves are done with. */
  private List<Diff.Likeness> takeExperts(Iterable<Leaf> leavesOfA) {
    Map<Expert, List<Leaf>> leavesOf = new LinkedHashMap<>();
    for (Leaf leaf : leavesOfA) {
      if (leaf.expert() != null) {
        leavesOf.computeIfAbsent(expert(leaf), key -> new ArrayList<>()).add(leaf);
      }
    }
    List<Diff.Likeness> found = new ArrayList<>();
    leavesOf.forEach(
        (expert, leaves) -> {
          Expert other = other(leaves);
          if (other != null) {
            found.add(
                new Diff.Likeness(Diff.Likeness.Kind.EXPERT, expert.toString(), other.toString()));
            leaves.forEach(equal::remove);
          }
        });
    return found;
  }

  private @Nullable Expert other(List<Leaf> leaves) {
    for (Leaf leaf : leaves) {
      Leaf b = equal.get(leaf);
      if (b == null || b.expert() == null || !kind(b).equals(kind(leaf))) {
        return null;
      }
    }
    Set<Expert> experts =
        leaves.stream().map(equal::get).map(Likenesses::expert).collect(Collectors.toSet());
    return experts.size() == 1 ? experts.iterator().next() : null;
  }

  private static Expert expert(Leaf leaf) {
    return new Expert(leaf.experts(), leaf.expert() == null ? 0 : leaf.expert());
  }

  /** Which of its expert's matrices a leaf is. */
  private static String kind(Leaf leaf) {
    return leaf.tensor().substring(leaf.experts().length()) + " " + leaf.part();
  }

  private static boolean isSquare(Shape shape) {
    return shape.rank() == 2 && shape.dim(0) == shape.dim(1);
  }

  private static boolean areEqual(Leaf a, Leaf b) {
    return Values.areComparable(a, b) && Tally.of(a, b).differing == 0;
  }

  /** Reads a row of B and the column of A that it must be, some of them at a time. */
  private static boolean areTransposed(Leaf a, Leaf b) {
    if (!Values.areElements(a) || !Values.areElements(b)) {
      return false;
    }
    int n = Math.toIntExact(a.shape().dim(0));
    int most = Math.max(1, Math.min(n, Values.CHUNK / 64));
    double[] some = new double[most];
    double[][] columns = new double[most][n];
    double[] row = new double[n];
    try (Arena arena = Arena.ofConfined()) {
      var valuesOfA = new Values(a, arena);
      var valuesOfB = new Values(b, arena);
      for (int first = 0; first < n; first += most) {
        int count = Math.min(most, n - first);
        for (int r = 0; r < n; r++) {
          valuesOfA.read((long) r * n + first, count, some);
          for (int c = 0; c < count; c++) {
            columns[c][r] = some[c];
          }
        }
        for (int c = 0; c < count; c++) {
          valuesOfB.read((long) (first + c) * n, n, row);
          if (!Arrays.equals(row, columns[c])) {
            return false;
          }
        }
      }
    }
    return true;
  }
}
