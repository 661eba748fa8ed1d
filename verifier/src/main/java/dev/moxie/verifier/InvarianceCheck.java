package dev.moxie.verifier;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.ExpertOrder;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.execution.Model;
import dev.moxie.verifier.bounds.FreePass;
import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.Verdict;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Evidence that needs no reference: what must leave the logits of a sequence as they are does so.
 * Every execution computes the sequence at once, and is then held to that where experts stand in
 * another order ({@link ExpertOrder}), where the sequence is cut, and where it ends earlier. Both
 * sides round for themselves, so bounds are those of two implementations in what it computes in.
 */
public final class InvarianceCheck {
  /** More than the windows and chunks of small models, and few enough for the oracle. */
  private static final int TOKENS = 24;

  private static final List<Integer> CHUNKS = List.of(1, 5);

  private final MoxiePackage pack;
  private final Running running;
  private final long[] ids;
  private final FreePass exact;
  private final List<String> notChecked;

  /**
   * A check of one package.
   *
   * @param notChecked takes what rounding leaves open, in words
   */
  InvarianceCheck(MoxiePackage pack, Running running, List<String> notChecked) {
    Architecture architecture = pack.architecture();
    this.pack = pack;
    this.running = running;
    this.ids = ChunkCheck.ids(architecture, (int) Math.min(TOKENS, architecture.maxPositions()));
    var oracle = new Oracle(architecture, Weights.asStored(pack), running.precision());
    this.exact = FreePass.of(architecture, SomeImage.shown(architecture, oracle, ids.length), ids);
    this.notChecked = notChecked;
  }

  /**
   * Checks a package.
   *
   * @param running what to run
   * @param proof which refuses nothing
   * @param notChecked takes what rounding leaves open, in words
   */
  static Report.Invariance run(
      MoxiePackage pack, Running running, LoweringProof proof, List<String> notChecked) {
    return new InvarianceCheck(pack, running, notChecked).run(proof);
  }

  private Report.Invariance run(LoweringProof proof) {
    Map<String, Map<String, Comparison>> compared = new LinkedHashMap<>();
    for (Execution execution : running.executions()) {
      try (Model model = running.open(execution, pack, proof);
          Model permuted = running.openPermuted(execution, pack, proof)) {
        compared.put(execution.name().toLowerCase(Locale.ROOT), compare(model, permuted));
      }
    }
    if (exact.firstUnclear() < ids.length) {
      notChecked.add(
          "invariance from token %d of %d on, where rounding may change experts"
              .formatted(exact.firstUnclear(), ids.length));
    }
    boolean holds =
        compared.values().stream()
            .flatMap(ways -> ways.values().stream())
            .allMatch(comparison -> comparison.verdict().passed());
    return new Report.Invariance(Verdict.of(holds), ids.length, exact.firstUnclear(), compared);
  }

  /**
   * One execution.
   *
   * @param permuted the same with experts in another order
   */
  Map<String, Comparison> compare(Model model, Model permuted) {
    Map<String, Comparison> ways = new LinkedHashMap<>();
    if (pack.architecture().encoder() != null) {
      model.read(ids);
      permuted.read(ids);
    }
    SomeImage.show(pack.architecture(), model, ids.length);
    SomeImage.show(pack.architecture(), permuted, ids.length);
    float[] whole = feed(model, ids, ids.length);
    // Where layers look ahead, a token is another in a longer text.
    boolean ahead = pack.architecture().looksAhead();
    for (int chunk : CHUNKS) {
      if (chunk < ids.length && !ahead) {
        String way = chunk == 1 ? "one token at a time" : chunk + " tokens at a time";
        ways.put(way, compare(feed(model, ids, chunk), whole));
      }
    }
    int half = Math.ceilDiv(ids.length, 2);
    if (!ahead) {
      float[] prefix = feed(model, Arrays.copyOf(ids, half), half);
      ways.put("the first %d tokens alone".formatted(half), compare(prefix, whole));
    }
    if (ExpertOrder.changes(pack.architecture())) {
      ways.put("experts in another order", compare(feed(permuted, ids, ids.length), whole));
    }
    return ways;
  }

  /** The tokens that both sides have, before the first whose routing rounding may decide. */
  private Comparison compare(float[] actual, float[] whole) {
    int rows = Math.min(exact.firstUnclear(), actual.length / exact.logits().columns());
    Comparison comparison = Tolerance.compare(actual, whole, exact.logits(), Math.max(1, rows));
    if (rows == 0) {
      return comparison.notJudged();
    }
    return comparison.telling() ? comparison : comparison.tolerant();
  }

  /** Logits of a sequence of which so many tokens are given at once. */
  private static float[] feed(Model model, long[] ids, int chunk) {
    float[] logits = new float[0];
    model.begin(ids.length);
    for (int from = 0; from < ids.length; from += chunk) {
      int to = Math.min(from + chunk, ids.length);
      float[] next = model.append(Arrays.copyOfRange(ids, from, to));
      logits = Arrays.copyOf(logits, logits.length + next.length);
      System.arraycopy(next, 0, logits, logits.length - next.length, next.length);
    }
    return logits;
  }
}
