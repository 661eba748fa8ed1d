package dev.moxie.verifier.reference;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.EndTokens;
import dev.moxie.runtime.execution.Model;
import dev.moxie.runtime.generation.Generator;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.eval.DivergenceTally;
import dev.moxie.verifier.eval.LogSoftmax;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Texts;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Divergence;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.Arrays;
import java.util.Set;

/**
 * From tokens to logits and on to a continuation. Where rounding may have led to other experts,
 * both sides may go their own way from that token on: logits are compared before it, and the
 * continuation is not judged. Of the layers it is known where that was. A model that does not show
 * its choice may have gone elsewhere at the first token whose experts rounding may change at all.
 */
final class EndToEnd {
  private final Sides sides;
  private final Estimate exact;
  private final int comparable;
  private final int clear;
  private final Set<Long> endTokens;

  /**
   * A check of any number of executions.
   *
   * @param exact logits
   * @param comparable tokens before the first for which layers and reference went elsewhere
   * @param clear tokens before the first for which rounding may change the choice of experts
   */
  EndToEnd(Sides sides, Estimate exact, int comparable, int clear) {
    this.sides = sides;
    this.exact = exact;
    this.comparable = comparable;
    this.clear = Math.min(clear, comparable);
    this.endTokens = EndTokens.of(sides.pack()).ids();
  }

  /**
   * What became of a model.
   *
   * @param judged tokens whose logits were held to bounds
   */
  record Found(Report.EndToEnd report, int judged) {}

  Found check(Model model) {
    long[] ids = sides.recorded().ids();
    Architecture.Encoder encoder = sides.pack().architecture().encoder();
    if (encoder != null) {
      model.read(sides.trace().inputIds());
    }
    if (sides.pack().architecture().image() != null) {
      model.see(sides.recorded().patches().toFloats());
    }
    model.begin(ids.length);
    float[] own = model.append(ids);
    Comparison logits = compare(own, comparable);
    int judged = logits.verdict().passed() || model.equals(sides.parts()) ? comparable : clear;
    if (judged < comparable) {
      logits = compare(own, judged);
    }
    long[] expected = sides.trace().generatedIds().orElse(new long[0]);
    // What was generated goes on from nothing where an encoder has read the text.
    long[] prompt = encoder == null ? ids : new long[] {encoder.start()};
    long[] greedy = greedy(model, prompt, expected.length);
    int equal = 0;
    for (int i = 0; i < expected.length; i++) {
      equal += greedy[i] == expected[i] ? 1 : 0;
    }
    int parting = Arrays.mismatch(greedy, expected);
    boolean open =
        judged < ids.length
            || (parting >= 0 && mayPart(prompt, expected, greedy[parting], parting));
    var continuation =
        new Report.Greedy(
            Verdict.of(open || parting < 0), expected.length, equal, open && parting >= 0);
    return new Found(new Report.EndToEnd(logits, divergence(own), continuation), judged);
  }

  private Comparison compare(float[] own, int rows) {
    return sides.fromTheTokensOn("logits", own, "logits", exact, Math.min(rows, exact.rows()));
  }

  private Divergence divergence(float[] own) {
    int words = exact.columns();
    float[] recorded = sides.trace().floats("logits", exact.rows(), words);
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
  private boolean mayPart(long[] ids, long[] expected, long own, int parting) {
    long[] sequence = Arrays.copyOf(ids, ids.length + parting);
    System.arraycopy(expected, 0, sequence, ids.length, parting);
    Architecture architecture = sides.pack().architecture();
    var texts = new Texts(architecture.encoderLayers(), sides.trace().inputIds(), sequence);
    return FreePass.of(architecture, sides.oracle(), texts)
        .mayDecide(endTokens, expected[parting], own);
  }
}
