package dev.moxie.verifier;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Device;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.verifier.equivalence.EquivalenceCheck;
import dev.moxie.verifier.integrity.IntegrityCheck;
import dev.moxie.verifier.reference.ReferenceCheck;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import dev.moxie.verifier.routing.DecisionFiles;
import dev.moxie.verifier.routing.DecisionSink;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Verifies a package as far as there is something to verify it against. */
public final class Verifier {
  private Verifier() {}

  /**
   * What a package was converted from.
   *
   * @param adapter that was merged into the checkpoint; null without
   */
  public record Source(Path checkpoint, @Nullable Path adapter) {}

  /**
   * Runs every level that the arguments allow.
   *
   * @param source the checkpoint, or null
   * @param references traces of the same model
   * @param executions to run end to end, at least one
   */
  public static Report verify(
      Path folder, @Nullable Path source, List<Path> references, Set<Execution> executions) {
    Running running = Running.onCpu(executions);
    Source from = source == null ? null : new Source(source, null);
    return verify(folder, from, references, null, running, DecisionFiles.NONE, false, Scope.all());
  }

  /**
   * The same, held to how much two right answers differ, and writes down every routing decision.
   *
   * @param noise one more trace of the same model, from another backend or in another precision, or
   *     null
   * @param running how the package is run
   * @param files begun before anything is checked; not written if the package is damaged
   * @param invariance whether executions are also held to themselves
   * @param scope what of the references is verified
   * @throws UsageException if files are wanted without a reference or of some layers alone, or may
   *     not be written; or if rounding was measured on references and is not theirs alone
   */
  public static Report verify(
      Path folder,
      @Nullable Source source,
      List<Path> references,
      @Nullable Path noise,
      Running running,
      DecisionFiles files,
      boolean invariance,
      Scope scope) {
    if (files.any() && !scope.ranges().isEmpty()) {
      throw new UsageException(
          "--routing-arrow and --replay",
          "decisions of all layers",
          "--layers",
          "leave out one or the other");
    }
    if (files.any() && references.isEmpty()) {
      throw new UsageException(
          "--routing-arrow and --replay",
          "a --reference to take decisions on",
          "none",
          "pass one, or use moxie routing");
    }
    if (noise != null && !running.roundsAsReferences()) {
      throw new UsageException(
          "--noise " + noise,
          "--device cpu: two references show how they round, not how a GPU does",
          running.device().name().toLowerCase(Locale.ROOT),
          "leave it out");
    }
    try (MoxiePackage pack = MoxiePackage.open(folder)) {
      return verify(pack, folder, source, references, noise, running, files, invariance, scope);
    }
  }

  /**
   * Of a package that is open already.
   *
   * @throws EnvironmentException if another has taken its place by the end, whatever was found:
   *     what is read from two packages is true of neither
   */
  static Report verify(
      MoxiePackage pack,
      Path folder,
      @Nullable Source source,
      List<Path> references,
      @Nullable Path noise,
      Running running,
      DecisionFiles files,
      boolean invariance,
      Scope scope) {
    // A layer that is not there is found before hours of work.
    scope.layers(pack.architecture());
    try (DecisionSink decisions = files.open(pack)) {
      Report.Integrity integrity = IntegrityCheck.run(pack);
      List<String> notChecked = new ArrayList<>();
      Report.@Nullable Equivalence equivalence = null;
      List<Report.Reference> checked = new ArrayList<>();
      List<Report.Unlike> unlike = new ArrayList<>();
      Report.@Nullable Invariance invariant = null;
      Report.@Nullable Device device = null;
      if (integrity.verdict().passed()) {
        // What run would refuse is no package that verifies, whatever it is compared with.
        EndTokens.of(pack);
        equivalence =
            source == null
                ? null
                : EquivalenceCheck.run(pack, source.checkpoint(), source.adapter());
        if (invariance || !references.isEmpty()) {
          Running run = running.with(runnable(pack, running, notChecked));
          // Kernels of CUDA are drawn anew in every process.
          var proof = new ProofByReport(run.device() == Device.CUDA);
          if (!references.isEmpty()) {
            check(
                pack, references, noise, run, proof, decisions, scope, checked, unlike, notChecked);
          }
          invariant = invariance ? InvarianceCheck.run(pack, run, proof, notChecked) : null;
          device = device(run, proof);
          notChecked.addAll(proof.untried());
        }
      } else if (source != null || invariance || !references.isEmpty()) {
        notChecked.add("equivalence and numbers, since the package is damaged");
      }
      if (!integrity.verdict().passed() && files.any()) {
        notChecked.add("routing decisions, which were not written, since the package is damaged");
      }
      if (!invariance) {
        notChecked.add(
            "that logits stay where experts change places or a sequence is cut (--invariance)");
      }
      List<String> ignoredKeys = pack.manifest().provenance().ignoredConfigKeys();
      if (!ignoredKeys.isEmpty()) {
        notChecked.add("what these ignored keys of config.json mean: " + ignoredKeys);
      }
      if (source == null) {
        notChecked.add("that the weights are the checkpoint's (pass --source)");
      }
      if (references.isEmpty()) {
        notChecked.add("that running them gives another implementation's numbers (--reference)");
      } else if (!checked.isEmpty() && running.device() == Device.CPU) {
        notChecked.add("numbers on CUDA (--device cuda): references were checked on the CPU");
      }
      boolean holds =
          integrity.verdict().passed()
              && (equivalence == null || equivalence.verdict().passed())
              && checked.stream().allMatch(reference -> reference.verdict().passed())
              && unlike.isEmpty()
              && (invariant == null || invariant.verdict().passed())
              && (device == null || device.refusals().isEmpty());
      return new Report(
          Verdict.of(holds),
          folder.toString(),
          device,
          integrity,
          equivalence,
          List.copyOf(checked),
          List.copyOf(unlike),
          invariant,
          notChecked);
    } finally {
      pack.requireUnchanged();
    }
  }

  private static Report.Device device(Running running, ProofByReport proof) {
    return new Report.Device(
        running.device().description(),
        running.target().compute(),
        proof.asked(),
        proof.refusals());
  }

  /** Of several executions those that run such a model; one alone must. */
  private static Set<Execution> runnable(
      MoxiePackage pack, Running running, List<String> notChecked) {
    if (running.executions().size() == 1) {
      return running.executions();
    }
    Set<Execution> runnable = EnumSet.noneOf(Execution.class);
    for (Execution execution : running.executions()) {
      String name = execution.name().toLowerCase(Locale.ROOT);
      Optional<UnsupportedException> refusal = execution.refusal(pack, running.device());
      if (refusal.isPresent()) {
        notChecked.add("the execution " + name + ": " + refusal.get().getMessage());
      } else if (execution.memory(pack, running.device()) > Execution.memoryOfMachine() / 2) {
        notChecked.add(
            Figures.text(
                "the execution %s, a second engine: its weights take %.1f GB in float32, which is"
                    + " more than half of this machine's %.1f GB (--execution %s tries it)",
                name,
                execution.memory(pack, running.device()) / 1e9,
                Execution.memoryOfMachine() / 1e9,
                name));
      } else {
        runnable.add(execution);
      }
    }
    return runnable;
  }

  private static void check(
      MoxiePackage pack,
      List<Path> references,
      @Nullable Path noise,
      Running running,
      LoweringProof proof,
      DecisionSink decisions,
      Scope scope,
      List<Report.Reference> reports,
      List<Report.Unlike> unlike,
      List<String> notChecked) {
    try (var check = new ReferenceCheck(pack, running, proof, scope);
        Trace other = noise == null ? null : Trace.open(noise)) {
      for (Path file : references) {
        try (Trace trace = Trace.open(file)) {
          List<String> differences = check.differences(trace);
          if (!differences.isEmpty()) {
            unlike.add(
                new Report.Unlike(
                    Verdict.FAIL, file.toString(), trace.metadata().get("producer"), differences));
            notChecked.add("numbers against " + file + ", which is of a model of another shape");
            continue;
          }
          reports.add(check.run(trace, other));
          decisions.accept(reports.size() - 1, trace.inputIds(), check.decisions());
        }
      }
      pack.requireUnchanged();
      decisions.finish();
      notChecked.addAll(check.notCovered());
    }
  }
}
