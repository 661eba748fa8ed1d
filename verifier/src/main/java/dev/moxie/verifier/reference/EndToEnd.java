package dev.moxie.verifier.reference;

import dev.moxie.format.pack.EndTokens;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.eval.DivergenceTally;
import dev.moxie.verifier.eval.LogSoftmax;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Divergence;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.Arrays;
import java.util.Set;

/**
 * From tokens to logits and on to a continuation. Where rounding may have led to other experts,
 * both sides may go their own way from that token on: logits are compared before it, and the
 * continuation is not judged.
 */
final class EndToEnd {
  private final Sides sides;
  private final Estimate exact;
  private final int comparable;
  private final Set<Long> endTokens;

  /**
   * A check of any number of executions.
   *
   * @param exact logits
   * @param comparable tokens before the first that may have gone elsewhere
   */
  EndToEnd(Sides sides, Estimate exact, int comparable) {
    this.sides = sides;
    this.exact = exact;
    this.comparable = comparable;
    this.endTokens = EndTokens.of(sides.pack()).ids();
  }

  Report.EndToEnd check(Model model) {
    long[] ids = sides.recorded().ids();
    model.begin(ids.length);
    float[] own = model.append(ids);
    Comparison logits = sides.fromTheTokensOn("logits", own, "logits", exact, comparable);
    long[] expected = sides.trace().generatedIds().orElse(new long[0]);
    long[] greedy = greedy(model, ids, expected.length);
    int equal = 0;
    for (int i = 0; i < expected.length; i++) {
      equal += greedy[i] == expected[i] ? 1 : 0;
    }
    int parting = Arrays.mismatch(greedy, expected);
    boolean open =
        comparable < ids.length || (parting >= 0 && mayPart(expected, greedy[parting], parting));
    return new Report.EndToEnd(
        logits,
        divergence(own),
        new Report.Greedy(
            Verdict.of(open || parting < 0), expected.length, equal, open && parting >= 0));
  }

  private Divergence divergence(float[] own) {
    int words = exact.columns();
    float[] recorded = sides.trace().floats("logits", sides.tokens(), words);
    var tally = new DivergenceTally();
    for (int from = 0; from < own.length; from += words) {
      tally.add(new LogSoftmax(recorded, from, words), new LogSoftmax(own, from, words));
    }
    return tally.result();
  }

  private long[] greedy(Model model, long[] ids, int count) {
    return count == 0
        ? new long[0]
        : Generator.greedy(model, ids, count, endTokens).stream()
            .mapToLong(Long::longValue)
            .toArray();
  }

  /** Whether rounding may decide the token at which two continuations part. */
  private boolean mayPart(long[] expected, long own, int parting) {
    long[] ids = sides.recorded().ids();
    long[] sequence = Arrays.copyOf(ids, ids.length + parting);
    System.arraycopy(expected, 0, sequence, ids.length, parting);
    return FreePass.of(sides.pack().architecture(), sides.oracle(), sequence)
        .mayDecide(endTokens, expected[parting], own);
  }
}
