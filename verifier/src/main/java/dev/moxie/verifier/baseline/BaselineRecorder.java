package dev.moxie.verifier.baseline;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.BuildIdentity;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.Continuing;
import dev.moxie.verifier.LoweringCheck;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Records baselines. */
public final class BaselineRecorder {
  private static final int DEFAULT_SEQUENCES = 4;
  private static final int DEFAULT_TOKENS = 8;

  private BaselineRecorder() {}

  /**
   * Four sequences of eight tokens, fewer where the model has fewer positions: n tokens in all, of
   * which number i is word floor(V (2i + 1) / 2n), dealt to the sequences in turn.
   */
  public static List<long[]> defaultSequences(Architecture architecture) {
    int length = (int) Math.min(DEFAULT_TOKENS, architecture.maxPositions());
    long n = (long) DEFAULT_SEQUENCES * length;
    List<long[]> sequences = new ArrayList<>();
    for (int s = 0; s < DEFAULT_SEQUENCES; s++) {
      long[] ids = new long[length];
      for (int t = 0; t < length; t++) {
        long i = (long) t * DEFAULT_SEQUENCES + s;
        ids[t] = architecture.vocabSize() * (2 * i + 1) / (2 * n);
      }
      sequences.add(ids);
    }
    return sequences;
  }

  /**
   * Runs a package on the CPU, once its first numbers agree with the oracle's.
   *
   * @param sequences token ids of each
   * @param greedyTokens tokens to continue each by; fewer where the model has no more positions
   * @throws UsageException if the sequences are not ones that the model can run, or too many
   */
  public static Baseline record(
      MoxiePackage pack,
      Execution execution,
      List<long[]> sequences,
      int greedyTokens,
      Manifest.Producer producer) {
    Continuing.require(pack);
    requireSample(pack.architecture(), sequences, greedyTokens);
    BaselineSize.requireSmall(pack, execution, sequences, greedyTokens, producer);
    try (var recorder = new SequenceRecorder(pack, execution, new LoweringCheck())) {
      List<Baseline.Sequence> recorded = new ArrayList<>();
      for (long[] ids : sequences) {
        int continued = continued(pack.architecture(), ids, greedyTokens);
        recorded.add(recorder.record(ids, continued, SequenceRecorder.UNWATCHED));
      }
      return of(pack, execution, recorded, producer);
    }
  }

  /** Tokens that a sequence is continued by. */
  static int continued(Architecture architecture, long[] ids, int greedyTokens) {
    return Math.toIntExact(Math.min(limit(architecture) - ids.length, greedyTokens));
  }

  /** A baseline of what was recorded just now. */
  static Baseline of(
      MoxiePackage pack,
      Execution execution,
      List<Baseline.Sequence> sequences,
      Manifest.Producer producer) {
    return new Baseline(
        Baseline.FORMAT,
        Baseline.VERSION,
        producer,
        BuildIdentity.current(execution).orElse(null),
        Baseline.Subject.of(pack),
        execution,
        sequences);
  }

  /** Tokens that a sequence may have with its continuation. */
  private static long limit(Architecture architecture) {
    return Math.min(BaselineRules.MAX_TOKENS, architecture.maxPositions());
  }

  private static void requireSample(
      Architecture architecture, List<long[]> sequences, int greedyTokens) {
    if (sequences.isEmpty() || sequences.size() > BaselineRules.MAX_SEQUENCES) {
      throw new UsageException(
          "the sequences",
          "from 1 to " + BaselineRules.MAX_SEQUENCES,
          String.valueOf(sequences.size()),
          "pass fewer");
    }
    if (greedyTokens < 0) {
      throw new UsageException(
          "--greedy", "a number from 0", String.valueOf(greedyTokens), "pass another");
    }
    for (long[] ids : sequences) {
      if (ids.length < 1 || ids.length > limit(architecture)) {
        throw new UsageException(
            "a sequence",
            "from 1 to " + limit(architecture) + " tokens",
            String.valueOf(ids.length),
            "pass another");
      }
      int words = architecture.vocabSize();
      long[] strange = Arrays.stream(ids).filter(id -> id < 0 || id >= words).limit(1).toArray();
      if (strange.length > 0) {
        throw new UsageException(
            "a sequence",
            "tokens from 0 to " + (words - 1),
            String.valueOf(strange[0]),
            "pass another");
      }
    }
  }
}
