package dev.moxie.verifier.diff;

import dev.moxie.converter.plan.Progress;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.verifier.diff.Pair.Outcome;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Two models, each a package or a checkpoint, opened to be compared. */
public final class ModelDiff implements AutoCloseable {
  private final Side a;
  private final Side b;
  private final Set<String> ignoredConfigKeys;
  private final Diff.Names names;
  private final Map<String, Leaf> ofA;
  private final Map<String, Leaf> ofB;
  private final TensorComparison tensors;

  private ModelDiff(Side a, Side b, Set<String> ignoredConfigKeys, boolean trust) {
    this.a = a;
    this.b = b;
    this.ignoredConfigKeys = ignoredConfigKeys;
    Map<String, Leaf> canonicalOfA = a.canonical();
    Map<String, Leaf> canonicalOfB = b.canonical();
    boolean canonical = canonicalOfA != null && canonicalOfB != null;
    this.names = canonical ? Diff.Names.CANONICAL : Diff.Names.OWN;
    this.ofA = canonicalOfA != null && canonical ? canonicalOfA : a.own();
    this.ofB = canonicalOfB != null && canonical ? canonicalOfB : b.own();
    this.tensors = new TensorComparison(ofA, ofB, trust);
  }

  /**
   * Opens both.
   *
   * @param trust whether, between two packages, equal digests in their indexes stand for equal
   *     bytes
   * @throws MoxieException if one of them is neither package nor checkpoint, or is damaged
   */
  public static ModelDiff open(Path a, Path b, boolean trust) {
    Set<String> ignoredConfigKeys = new HashSet<>(ignoredConfigKeys(a));
    ignoredConfigKeys.addAll(ignoredConfigKeys(b));
    List<Side> sides = new ArrayList<>();
    try {
      sides.add(side(a, ignoredConfigKeys));
      sides.add(side(b, ignoredConfigKeys));
      return new ModelDiff(sides.getFirst(), sides.getLast(), ignoredConfigKeys, trust);
    } catch (RuntimeException e) {
      sides.forEach(Side::close);
      throw e;
    }
  }

  /** The keys that a package was converted without heeding; its source is read likewise. */
  private static List<String> ignoredConfigKeys(Path folder) {
    if (!MoxiePackage.isPackage(folder)) {
      return List.of();
    }
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      return pack.manifest().provenance().ignoredConfigKeys();
    }
  }

  private static Side side(Path folder, Set<String> ignoredConfigKeys) {
    return MoxiePackage.isPackage(folder)
        ? PackageSide.open(folder)
        : CheckpointSide.open(folder, ignoredConfigKeys);
  }

  /** Bytes of weights that will be read. */
  public long bytes() {
    return tensors.bytes();
  }

  /** Compares. */
  public Diff run(Progress progress) {
    List<Diff.Change> architecture = Structure.architecture(a.architecture(), b.architecture());
    var companions = new Companions(a, b, ignoredConfigKeys);
    tensors.run(progress);
    List<Pair> pairs = tensors.pairs();
    Diff.Tensors report = TensorReport.of(ofA, ofB, pairs);
    List<String> notCompared = new ArrayList<>(a.notCompared());
    notCompared.addAll(b.notCompared());
    notCompared.addAll(companions.notCompared());
    boolean same =
        architecture.isEmpty()
            && companions.settings().isEmpty()
            && companions.files().stream().noneMatch(Companions::isPart)
            && report.different() == 0
            && report.onlyInA().isEmpty()
            && report.onlyInB().isEmpty()
            && report.incomparable().isEmpty();
    return new Diff(
        !same
            ? Diff.Sense.DIFFERENT
            : report.sameValues() == 0 ? Diff.Sense.SAME_BYTES : Diff.Sense.SAME_VALUES,
        a.model(),
        b.model(),
        names,
        TensorReport.count(pairs, Outcome.TRUSTED),
        notCompared,
        architecture,
        companions.settings(),
        companions.spelled(),
        companions.files(),
        Structure.layout(a, b),
        Structure.provenance(a, b),
        report,
        Likenesses.of(ofA.values(), tensors.straysOfA(), tensors.straysOfB()));
  }

  @Override
  public void close() {
    a.close();
    b.close();
  }
}
