package dev.moxie.verifier.diff;

import dev.moxie.verifier.diff.Pair.Outcome;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What the pairs of leaves amount to, by tensor and by expert. */
final class TensorReport {
  /** NaN and infinity first, then what is large beside A, of those what is large in itself. */
  static final Comparator<Diff.Numbers> LARGEST_FIRST =
      Comparator.comparing((Diff.Numbers numbers) -> numbers.notFinite() == 0)
          .thenComparing(
              numbers -> numbers.rms() == null ? Double.POSITIVE_INFINITY : numbers.rms(),
              Comparator.reverseOrder())
          .thenComparing(Diff.Numbers::maxAbs, Comparator.reverseOrder());

  private TensorReport() {}

  static Diff.Tensors of(Map<String, Leaf> ofA, Map<String, Leaf> ofB, List<Pair> pairs) {
    return new Diff.Tensors(
        count(pairs, Outcome.SAME_BYTES) + count(pairs, Outcome.TRUSTED),
        count(pairs, Outcome.SAME_VALUES),
        count(pairs, Outcome.DIFFERENT),
        oneSided(ofA, ofB),
        oneSided(ofB, ofA),
        forms(pairs, pair -> pair.is(Outcome.INCOMPARABLE), Leaf::form),
        forms(
            pairs,
            pair -> !pair.is(Outcome.INCOMPARABLE) && !pair.a().storedLike(pair.b()),
            Leaf::stored),
        differences(pairs));
  }

  static int count(List<Pair> pairs, Outcome outcome) {
    return Math.toIntExact(pairs.stream().filter(pair -> pair.is(outcome)).count());
  }

  /** Whole tensors by their names, parts of others leaf by leaf; the largest first. */
  private static List<Diff.OneSided> oneSided(Map<String, Leaf> one, Map<String, Leaf> other) {
    Set<String> present =
        one.values().stream()
            .filter(leaf -> other.containsKey(leaf.name()))
            .map(Leaf::tensor)
            .collect(Collectors.toSet());
    Map<String, List<Leaf>> missing = new LinkedHashMap<>();
    for (Leaf leaf : TensorComparison.onlyIn(one, other)) {
      missing.computeIfAbsent(leaf.tensor(), key -> new ArrayList<>()).add(leaf);
    }
    List<Diff.OneSided> found = new ArrayList<>();
    missing.forEach(
        (tensor, leaves) -> {
          if (present.contains(tensor)) {
            leaves.forEach(leaf -> found.add(oneSided(leaf.name(), List.of(leaf))));
          } else {
            found.add(oneSided(tensor, leaves));
          }
        });
    found.sort(Comparator.comparingLong(Diff.OneSided::bytes).reversed());
    return found;
  }

  private static Diff.OneSided oneSided(String name, List<Leaf> leaves) {
    return new Diff.OneSided(
        name, leaves.size(), leaves.getFirst().form(), leaves.stream().mapToLong(Leaf::size).sum());
  }

  private static List<Diff.Form> forms(
      List<Pair> pairs, Predicate<Pair> which, Function<Leaf, String> words) {
    Map<Diff.Form, Integer> leaves = new LinkedHashMap<>();
    pairs.stream()
        .filter(which)
        .map(
            pair ->
                new Diff.Form(pair.a().tensor(), 1, words.apply(pair.a()), words.apply(pair.b())))
        .forEach(form -> leaves.merge(form, 1, Integer::sum));
    List<Diff.Form> forms = new ArrayList<>();
    leaves.forEach(
        (form, count) -> forms.add(new Diff.Form(form.name(), count, form.a(), form.b())));
    return forms;
  }

  private static List<Diff.TensorDifference> differences(List<Pair> pairs) {
    Map<String, List<Pair>> byTensor = new LinkedHashMap<>();
    for (Pair pair : pairs) {
      if (pair.is(Outcome.DIFFERENT)) {
        byTensor.computeIfAbsent(pair.a().tensor(), key -> new ArrayList<>()).add(pair);
      }
    }
    List<Diff.TensorDifference> differences = new ArrayList<>();
    byTensor.forEach(
        (tensor, ofTensor) ->
            differences.add(
                new Diff.TensorDifference(
                    tensor, ofTensor.size(), numbers(ofTensor), experts(ofTensor))));
    differences.sort(Comparator.comparing(Diff.TensorDifference::numbers, LARGEST_FIRST));
    return differences;
  }

  private static List<Diff.ExpertDifference> experts(List<Pair> pairs) {
    Map<Integer, List<Pair>> byExpert = new TreeMap<>();
    for (Pair pair : pairs) {
      Integer expert = pair.a().expert();
      if (expert != null) {
        byExpert.computeIfAbsent(expert, key -> new ArrayList<>()).add(pair);
      }
    }
    List<Diff.ExpertDifference> experts = new ArrayList<>();
    byExpert.forEach(
        (expert, ofExpert) -> experts.add(new Diff.ExpertDifference(expert, numbers(ofExpert))));
    experts.sort(Comparator.comparing(Diff.ExpertDifference::numbers, LARGEST_FIRST));
    return experts;
  }

  /** The sum over some leaves. */
  private static Diff.Numbers numbers(List<Pair> pairs) {
    long compared = 0;
    long differing = 0;
    long notFinite = 0;
    double maxAbs = 0;
    double largestOfA = 0;
    double squares = 0;
    double squaresOfA = 0;
    Pair worst = pairs.getFirst();
    for (Pair pair : pairs) {
      Tally tally = tally(pair);
      if (isWorse(tally, tally(worst))) {
        worst = pair;
      }
      compared += tally.compared;
      differing += tally.differing;
      notFinite += tally.notFinite;
      maxAbs = Math.max(maxAbs, tally.maxAbs);
      largestOfA = Math.max(largestOfA, tally.largestOfA);
      squares += tally.sumOfSquares;
      squaresOfA += tally.sumOfSquaresOfA;
    }
    return new Diff.Numbers(
        Values.areElements(worst.a()) ? "elements" : "bytes",
        compared,
        differing,
        notFinite,
        maxAbs,
        ratio(maxAbs, largestOfA),
        ratio(Math.sqrt(squares), Math.sqrt(squaresOfA)),
        place(worst));
  }

  private static boolean isWorse(Tally tally, Tally worst) {
    return worst.notFinite == 0 && (tally.notFinite > 0 || tally.maxAbs > worst.maxAbs);
  }

  private static @Nullable Double ratio(double difference, double size) {
    return size == 0 ? null : difference / size;
  }

  private static Diff.Place place(Pair pair) {
    Tally tally = tally(pair);
    List<Long> dims =
        Values.areElements(pair.a()) ? pair.a().shape().dims() : List.of(tally.compared);
    Long[] index = new Long[dims.size()];
    long rest = tally.worstAt;
    for (int axis = dims.size() - 1; axis >= 0; axis--) {
      index[axis] = rest % dims.get(axis);
      rest /= dims.get(axis);
    }
    return new Diff.Place(pair.a().name(), Arrays.asList(index), tally.worstOfA, tally.worstOfB);
  }

  private static Tally tally(Pair pair) {
    return Objects.requireNonNull(pair.tally(), "only what differs is summed up");
  }
}
