package dev.moxie.verifier.diff;

import dev.moxie.converter.plan.Progress;
import dev.moxie.converter.plan.Tasks;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.verifier.diff.Pair.Outcome;
import dev.moxie.verifier.diff.Tally.Fingerprint;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/**
 * The leaves of two models, matched by name. A pair is read once if its bytes are equal or its
 * forms differ; otherwise its bytes are read up to the first difference, and then its values.
 */
final class TensorComparison {
  private final Map<String, Leaf> ofA;
  private final Map<String, Leaf> ofB;
  private final boolean trust;
  private final Map<String, Pair> pairs = new ConcurrentHashMap<>();
  private final Map<Leaf, Fingerprint> unmatched = new ConcurrentHashMap<>();

  /**
   * Compares nothing yet.
   *
   * @param trust whether equal digests in both indexes are enough
   */
  TensorComparison(Map<String, Leaf> ofA, Map<String, Leaf> ofB, boolean trust) {
    this.ofA = ofA;
    this.ofB = ofB;
    this.trust = trust;
  }

  /** Leaves of one that the other lacks, in their order. */
  static List<Leaf> onlyIn(Map<String, Leaf> one, Map<String, Leaf> other) {
    return one.values().stream().filter(leaf -> !other.containsKey(leaf.name())).toList();
  }

  private boolean trusted(Leaf a, Leaf b) {
    return trust && a.storedLike(b) && a.digestsEqual(b);
  }

  /** Bytes that {@link #run} reads, if it reads each once. */
  long bytes() {
    long bytes = 0;
    for (Leaf a : ofA.values()) {
      Leaf b = ofB.get(a.name());
      if (b != null && !trusted(a, b)) {
        bytes += a.size() + b.size();
      }
    }
    for (Leaf leaf : renamed()) {
      bytes += leaf.size();
    }
    return bytes;
  }

  /**
   * Leaves that only one side has, while the other has such of the same shape: renamed, perhaps.
   */
  private List<Leaf> renamed() {
    List<Leaf> onlyInA = onlyIn(ofA, ofB);
    List<Leaf> onlyInB = onlyIn(ofB, ofA);
    Set<Shape> shapesOfA = onlyInA.stream().map(Leaf::shape).collect(Collectors.toSet());
    Set<Shape> shapesOfB = onlyInB.stream().map(Leaf::shape).collect(Collectors.toSet());
    List<Leaf> renamed = new ArrayList<>();
    onlyInA.stream().filter(leaf -> shapesOfB.contains(leaf.shape())).forEach(renamed::add);
    onlyInB.stream().filter(leaf -> shapesOfA.contains(leaf.shape())).forEach(renamed::add);
    return renamed;
  }

  /** Reads what must be read. */
  void run(Progress progress) {
    List<Tasks.Task> tasks = new ArrayList<>();
    for (Leaf a : ofA.values()) {
      Leaf b = ofB.get(a.name());
      if (b == null) {
        continue;
      }
      if (trusted(a, b)) {
        pairs.put(a.name(), new Pair(a, b, Outcome.TRUSTED, null));
      } else {
        tasks.add(
            () -> {
              pairs.put(a.name(), Pair.of(a, b));
              progress.advance(a.size() + b.size());
            });
      }
    }
    for (Leaf leaf : renamed()) {
      tasks.add(
          () -> {
            unmatched.put(leaf, Tally.fingerprint(leaf));
            progress.advance(leaf.size());
          });
    }
    Tasks.run(tasks, Runtime.getRuntime().availableProcessors());
  }

  /** The pairs, in the order of A; after {@link #run}. */
  List<Pair> pairs() {
    List<Pair> ordered = new ArrayList<>();
    for (String name : ofA.keySet()) {
      Pair pair = pairs.get(name);
      if (pair != null) {
        ordered.add(pair);
      }
    }
    return ordered;
  }

  /** Leaves of A that may be others of B; not those of a single value. */
  List<Stray> straysOfA() {
    return strays(ofA, true);
  }

  /** Likewise of B. */
  List<Stray> straysOfB() {
    return strays(ofB, false);
  }

  private List<Stray> strays(Map<String, Leaf> leaves, boolean isA) {
    List<Stray> strays = new ArrayList<>();
    for (Leaf leaf : leaves.values()) {
      Pair pair = pairs.get(leaf.name());
      Fingerprint fingerprint = unmatched.get(leaf);
      if (pair != null && pair.tally() != null) {
        fingerprint = isA ? pair.tally().fingerprintOfA() : pair.tally().fingerprintOfB();
      }
      if (fingerprint != null && !fingerprint.constant()) {
        strays.add(new Stray(leaf, fingerprint));
      }
    }
    return strays;
  }
}
