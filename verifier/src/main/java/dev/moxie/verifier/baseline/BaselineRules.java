package dev.moxie.verifier.baseline;

import dev.moxie.format.error.CorruptException;
import dev.moxie.runtime.execution.Execution;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What must hold within a baseline, so that whoever uses it need not look again: every matrix has
 * one row per token, every id is below its count, and sequences are short enough to be run.
 */
final class BaselineRules {
  /** A baseline holds samples: more sequences than these, or longer ones, are no sample. */
  static final int MAX_SEQUENCES = 64;

  /** Tokens of a sequence and its continuation together. */
  static final int MAX_TOKENS = 1024;

  private final String file;
  private final Baseline baseline;

  private BaselineRules(String file, Baseline baseline) {
    this.file = file;
    this.baseline = baseline;
  }

  /**
   * Checks a baseline.
   *
   * @param file for messages
   * @throws CorruptException naming the member that breaks a rule
   */
  static void check(String file, Baseline baseline) {
    new BaselineRules(file, baseline).check();
  }

  private void check() {
    Baseline.Subject subject = baseline.subject();
    count("subject.vocabSize", subject.vocabSize(), 1, Integer.MAX_VALUE);
    count("subject.hiddenSize", subject.hiddenSize(), 1, Integer.MAX_VALUE);
    count("subject.experts", subject.experts().size(), 1, Integer.MAX_VALUE);
    subject.experts().forEach(e -> count("subject.experts", e, 0, Integer.MAX_VALUE));
    digest("subject.manifestSha256", subject.manifestSha256());
    count("sequences", baseline.sequences().size(), 1, MAX_SEQUENCES);
    for (int s = 0; s < baseline.sequences().size(); s++) {
      sequence("sequences[" + s + "]", baseline.sequences().get(s));
    }
  }

  private void sequence(String at, Baseline.Sequence sequence) {
    Baseline.Subject subject = baseline.subject();
    int tokens = sequence.ids().size();
    count(at + ".ids", tokens, 1, MAX_TOKENS);
    count(at + ".greedy", sequence.greedy().size(), 0, MAX_TOKENS - tokens);
    sequence.ids().forEach(id -> below(at + ".ids", id, subject.vocabSize()));
    sequence.greedy().forEach(id -> below(at + ".greedy", id, subject.vocabSize()));
    int layers = baseline.execution() == Execution.PLAIN ? subject.experts().size() : 0;
    count(at + ".layers", sequence.layers().size(), layers, layers);
    for (int layer = 0; layer < layers; layer++) {
      String place = at + ".layers[" + layer + "]";
      Baseline.Layer recorded = sequence.layers().get(layer);
      summary(place + ".output", recorded.output(), tokens, subject.hiddenSize());
      routing(place, recorded.routing(), tokens, subject.experts().get(layer));
    }
    logits(at + ".logits", sequence.logits(), tokens);
  }

  private void routing(String at, Baseline.@Nullable Routing routing, int tokens, int e) {
    if (e == 0 || routing == null) {
      require(
          (e == 0) == (routing == null),
          at + ".routing",
          e == 0 ? "null, since the layer has no experts" : "the routing of " + e + " experts",
          routing == null ? "null" : "one");
      return;
    }
    summary(at + ".routing.choice", routing.choice(), tokens, e);
    count(at + ".routing.experts", routing.experts().size(), tokens, tokens);
    for (List<Integer> chosen : routing.experts()) {
      count(at + ".routing.experts", chosen.size(), 1, e);
      int last = -1;
      for (int expert : chosen) {
        below(at + ".routing.experts", expert, e);
        require(expert > last, at + ".routing.experts", "ascending ids", chosen.toString());
        last = expert;
      }
    }
    if (routing.smallestMargin() != null) {
      below(at + ".routing.smallestMargin.token", routing.smallestMargin().token(), tokens);
    }
  }

  private void logits(String at, Baseline.Logits logits, int tokens) {
    int words = baseline.subject().vocabSize();
    summary(at + ".summary", logits.summary(), tokens, words);
    count(at + ".largest", logits.largest().size(), tokens, tokens);
    int shown = Math.min(Baseline.Logits.LARGEST, words);
    for (List<Baseline.Logit> row : logits.largest()) {
      count(at + ".largest", row.size(), shown, shown);
      row.forEach(logit -> below(at + ".largest", logit.id(), words));
      for (int i = 1; i < row.size(); i++) {
        require(
            row.get(i).value().value() <= row.get(i - 1).value().value(),
            at + ".largest",
            "the largest first",
            row.get(i - 1).value() + " before " + row.get(i).value());
      }
    }
  }

  private void summary(String at, Baseline.Summary summary, int rows, int columns) {
    digest(at + ".sha256", summary.sha256());
    below(at + ".peak.token", summary.peak().token(), rows);
    below(at + ".peak.index", summary.peak().index(), columns);
    count(at + ".projections", summary.projections().size(), rows, rows);
    summary
        .projections()
        .forEach(
            row -> count(at + ".projections", row.size(), Signs.PROJECTIONS, Signs.PROJECTIONS));
  }

  private void count(String member, int found, int least, int most) {
    String expected =
        least == most ? String.valueOf(least) : "from " + least + " to " + most + " of them";
    require(found >= least && found <= most, member, expected, String.valueOf(found));
  }

  private void below(String member, int id, int count) {
    require(id >= 0 && id < count, member, "numbers from 0 below " + count, String.valueOf(id));
  }

  private void digest(String member, String digest) {
    require(
        digest.length() == 64 && digest.chars().allMatch(c -> "0123456789abcdef".indexOf(c) >= 0),
        member,
        "64 lower-case hexadecimal digits",
        digest.length() + " characters that are not");
  }

  private void require(boolean holds, String member, String expected, String found) {
    if (!holds) {
      throw new CorruptException(
          file + ", " + member, expected, found, "restore the file or record it again");
    }
  }
}
