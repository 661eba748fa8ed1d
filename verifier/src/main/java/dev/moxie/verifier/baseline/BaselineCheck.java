package dev.moxie.verifier.baseline;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.ProofByReport;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Precision;
import dev.moxie.verifier.oracle.Precisions;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Verdict;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Runs a package as a baseline says and compares. Differences are bounded as those of two right
 * implementations in float32 are: by the oracle's estimate of the rounding errors on the way from
 * the tokens to each number.
 */
public final class BaselineCheck {
  private static final Comparator<BaselineReport.Drift> FIRST =
      Comparator.comparingInt((BaselineReport.Drift drift) -> place(drift))
          .thenComparingInt(BaselineReport.Drift::sequence);

  private BaselineCheck() {}

  /**
   * What was found.
   *
   * @param recorded the baseline as it was read
   * @param now the baseline that would be recorded now
   */
  public record Result(BaselineReport report, Baseline recorded, Baseline now) {}

  /**
   * Checks a package.
   *
   * @param execution how to run it; null as the baseline was recorded
   * @param strict whether every bit must be the same, as it is on the same machine with the same
   *     build
   * @param producer of the baseline that would be recorded now
   * @throws CorruptException if the file is no baseline, or one of another model
   */
  public static Result check(
      Path folder,
      Path file,
      @Nullable Execution execution,
      boolean strict,
      Manifest.Producer producer) {
    Baseline recorded = BaselineFile.read(file);
    Execution chosen = execution == null ? recorded.execution() : execution;
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      Baseline.Subject subject = requireSameModel(pack, file, recorded);
      List<SequenceCheck.Outcome> outcomes = new ArrayList<>();
      List<Baseline.Sequence> sequences = new ArrayList<>();
      @Nullable Oracle oracle =
          strict ? null : new Oracle(pack.architecture(), Weights.asStored(pack), Precision.F32);
      Set<Long> endTokens = EndTokens.of(pack).ids();
      try (var recorder = new SequenceRecorder(pack, chosen, new ProofByReport(false))) {
        for (Baseline.Sequence sequence : recorded.sequences()) {
          var check =
              new SequenceCheck(sequences.size(), sequence, pack.architecture(), endTokens, oracle);
          Baseline.Sequence now =
              recorder.record(sequence.tokens(), sequence.greedy().size(), check);
          check.greedy(now.greedy());
          sequences.add(now);
          outcomes.add(check.outcome());
        }
      }
      Baseline now = BaselineRecorder.of(pack, chosen, sequences, producer);
      boolean same = recorded.subject().equals(subject);
      return new Result(report(pack, file, recorded, now, strict, same, outcomes), recorded, now);
    }
  }

  /**
   * Makes sure that a baseline may be updated, before anything is computed for it.
   *
   * @param execution how the package will be run
   * @throws UsageException if that is another way than the recorded one
   */
  public static void requireUpdatable(Path file, Execution execution) {
    requireSame(BaselineFile.read(file).execution(), execution);
  }

  private static void requireSame(Execution recorded, Execution now) {
    if (recorded != now) {
      throw new UsageException(
          "--update",
          "the recorded execution, " + recorded,
          String.valueOf(now),
          "leave --execution out, or record another baseline");
    }
  }

  /**
   * Puts what is computed now in the place of what was recorded.
   *
   * @return whether the file was written: not if it would be the same
   * @throws UsageException if the package was run in another way than the recorded one
   */
  public static boolean update(Path file, Result result) {
    requireSame(result.recorded().execution(), result.now().execution());
    if (result.recorded().equals(result.now())) {
      return false;
    }
    BaselineFile.write(file, result.now());
    return true;
  }

  private static Baseline.Subject requireSameModel(
      MoxiePackage pack, Path file, Baseline recorded) {
    var subject = Baseline.Subject.of(pack);
    Baseline.Subject then = recorded.subject();
    requireSame(file, "vocabulary", then.vocabSize(), subject.vocabSize());
    requireSame(file, "hidden size", then.hiddenSize(), subject.hiddenSize());
    requireSame(file, "layers", then.experts().size(), subject.experts().size());
    for (int layer = 0; layer < subject.experts().size(); layer++) {
      requireSame(
          file,
          "experts of layer " + layer,
          then.experts().get(layer),
          subject.experts().get(layer));
    }
    for (Baseline.Sequence sequence : recorded.sequences()) {
      int length = sequence.ids().size() + sequence.greedy().size();
      if (length > pack.architecture().maxPositions()) {
        throw new CorruptException(
            file.toString(),
            "sequences within the model's " + pack.architecture().maxPositions() + " positions",
            length + " tokens",
            "the baseline is another model's; check the paths, or record one of this package");
      }
    }
    return subject;
  }

  private static void requireSame(Path file, String what, int recorded, int ofPackage) {
    if (recorded != ofPackage) {
      throw new CorruptException(
          file.toString(),
          "a baseline of a model like the package's (" + what + ": " + ofPackage + ")",
          String.valueOf(recorded),
          "the baseline is another model's; check the paths, or record one of this package");
    }
  }

  /** Layers in order, then logits, then the continuation. */
  private static int place(BaselineReport.Drift drift) {
    if (drift.layer() != null) {
      return drift.layer();
    }
    return drift.step().equals("greedy") ? Integer.MAX_VALUE : Integer.MAX_VALUE - 1;
  }

  private static BaselineReport report(
      MoxiePackage pack,
      Path file,
      Baseline recorded,
      Baseline now,
      boolean strict,
      boolean samePackage,
      List<SequenceCheck.Outcome> outcomes) {
    List<BaselineReport.Drift> drifts =
        outcomes.stream().flatMap(o -> o.drifts().stream()).sorted(FIRST).toList();
    List<String> notCompared = new ArrayList<>();
    outcomes.forEach(outcome -> notCompared.addAll(outcome.notCompared()));
    if (recorded.execution() != now.execution()) {
      notCompared.add("layers and routing, which only one of both executions shows");
    }
    notCompared.addAll(unused(recorded));
    return new BaselineReport(
        Verdict.of(drifts.isEmpty()),
        pack.folder().toString(),
        file.toString(),
        strict,
        now.execution(),
        samePackage,
        recorded.producer(),
        recorded.build(),
        now.build(),
        outcomes.size(),
        recorded.sequences().stream().mapToInt(sequence -> sequence.ids().size()).sum(),
        outcomes.stream().mapToInt(SequenceCheck.Outcome::matrices).sum(),
        outcomes.stream().mapToInt(SequenceCheck.Outcome::identical).sum(),
        outcomes.stream().mapToDouble(SequenceCheck.Outcome::nearest).max().orElse(0),
        outcomes.stream().mapToInt(SequenceCheck.Outcome::decisions).sum(),
        outcomes.stream().mapToInt(SequenceCheck.Outcome::ties).sum(),
        drifts,
        notCompared,
        strict
            ? "every bit must be the same"
            : Tolerance.describe(Precisions.of(Precision.F32), null, null),
        drifts.isEmpty() ? null : diagnosis(drifts.getFirst(), samePackage));
  }

  /** One sentence if no token was recorded to choose some experts, else nothing. */
  private static List<String> unused(Baseline recorded) {
    Set<List<Integer>> used = new HashSet<>();
    for (Baseline.Sequence sequence : recorded.sequences()) {
      for (int layer = 0; layer < sequence.layers().size(); layer++) {
        Baseline.@Nullable Routing routing = sequence.layers().get(layer).routing();
        if (routing != null) {
          for (List<Integer> chosen : routing.experts()) {
            for (int expert : chosen) {
              used.add(List.of(layer, expert));
            }
          }
        }
      }
    }
    int all = recorded.subject().experts().stream().mapToInt(Integer::intValue).sum();
    return used.size() == all || recorded.execution() != Execution.PLAIN
        ? List.of()
        : List.of(
            "%d of %d experts, which no recorded token chooses".formatted(all - used.size(), all));
  }

  private static String diagnosis(BaselineReport.Drift first, boolean samePackage) {
    String start = "The first drift is in " + first.place() + " of sequence " + first.sequence();
    if (first.oracleAgrees() == null) {
      return start
          + (samePackage
              ? "; the package is the recorded one, so the runtime computes otherwise."
              : "; the package is not the recorded one.");
    }
    if (Objects.equals(first.oracleAgrees(), true)) {
      return start
          + ". The oracle computes the same from this package"
          + (samePackage
              ? ", whose manifest is the recorded one: the recorded numbers, or the runtime that"
                  + " recorded them, were wrong, unless the weights are no longer what the manifest"
                  + " says, which verify tells."
              : ": its weights or its architecture are not the recorded ones.");
    }
    return start + ". The oracle does not compute this from this package: the runtime is wrong.";
  }
}
