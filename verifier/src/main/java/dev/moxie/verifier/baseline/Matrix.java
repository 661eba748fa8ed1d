package dev.moxie.verifier.baseline;

import dev.moxie.verifier.bounds.Tolerance;
import dev.moxie.verifier.oracle.Estimate;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A matrix that was computed again, to be held to what a baseline has of it.
 *
 * @param values row-major, one row per token
 * @param kept what a baseline would keep of it
 * @param exact the oracle's; null where nothing may differ
 * @param rows how many tokens, from the first, are to be compared
 */
@SuppressWarnings("ArrayRecordComponent") // Lives for one comparison, is never compared.
record Matrix(
    float[] values, int columns, Baseline.Summary kept, @Nullable Estimate exact, int rows) {

  /** Every number of the recorded summary that can be compared; none if no row can. */
  List<Value> values(Baseline.Summary recorded) {
    var bounds = new Bounds(exact);
    List<Value> compared = new ArrayList<>();
    for (int t = 0; t < rows; t++) {
      for (int p = 0; p < Signs.PROJECTIONS; p++) {
        compared.add(
            new Value(
                t,
                "projection " + p,
                recorded.projections().get(t).get(p).value(),
                kept.projections().get(t).get(p).value(),
                bounds.projection(t)));
      }
    }
    if (rows == kept.projections().size()) {
      compared.addAll(whole(recorded, bounds));
    }
    return telling(compared);
  }

  private List<Value> whole(Baseline.Summary recorded, Bounds bounds) {
    List<Value> compared = new ArrayList<>();
    compared.add(
        new Value(null, "mean", recorded.mean().value(), kept.mean().value(), bounds.mean()));
    compared.add(
        new Value(
            null, "root mean square", recorded.rms().value(), kept.rms().value(), bounds.rms()));
    Baseline.Peak then = recorded.peak();
    compared.add(
        new Value(
            then.token(),
            "element " + then.index(),
            then.value().value(),
            at(then.token(), then.index()),
            bounds.element(then.token(), then.index())));
    Baseline.Peak now = kept.peak();
    double largest = Math.abs(then.value().value());
    double magnitude = Math.abs(now.value().value());
    if (!(magnitude <= largest)) {
      // Whoever recorded it had no element above the largest.
      compared.add(
          new Value(
              now.token(),
              "magnitude of element " + now.index(),
              largest,
              magnitude,
              bounds.element(now.token(), now.index())));
    }
    return compared;
  }

  /** The recorded logits one by one; of the others, the one that most exceeds the smallest. */
  List<Value> values(List<List<Baseline.Logit>> largest) {
    var bounds = new Bounds(exact);
    List<Value> compared = new ArrayList<>();
    for (int t = 0; t < rows; t++) {
      for (Baseline.Logit logit : largest.get(t)) {
        compared.add(
            new Value(
                t,
                "logit of word " + logit.id(),
                logit.value().value(),
                at(t, logit.id()),
                bounds.element(t, logit.id())));
      }
      double least = largest.get(t).getLast().value().value();
      @Nullable Value worst = null;
      for (int id = 0; id < columns; id++) {
        if (at(t, id) > least && !isAmong(largest.get(t), id)) {
          var value =
              new Value(
                  t, "logit of word " + id + ", at most", least, at(t, id), bounds.element(t, id));
          worst = worst == null || value.ratio() > worst.ratio() ? value : worst;
        }
      }
      if (worst != null) {
        compared.add(worst);
      }
    }
    return compared;
  }

  private static boolean isAmong(List<Baseline.Logit> logits, int id) {
    return logits.stream().anyMatch(logit -> logit.id() == id);
  }

  private double at(int row, int column) {
    return values[row * columns + column];
  }

  /** Bounds as large as the values would let anything pass: then whatever differs is a drift. */
  private static List<Value> telling(List<Value> compared) {
    double bound = 0;
    double largest = 0;
    for (Value value : compared) {
      bound = Math.max(bound, value.bound());
      largest = Math.max(largest, Math.abs(value.recorded()));
    }
    if (bound < largest) {
      return compared;
    }
    return compared.stream()
        .map(v -> new Value(v.token(), v.what(), v.recorded(), v.computed(), 0))
        .toList();
  }

  /**
   * Whether the oracle, given the same experts, computes what was computed now; null where that is
   * no number.
   */
  @Nullable Boolean oracleAgrees() {
    if (exact == null || rows == 0 || !Double.isFinite(kept.peak().value().value())) {
      return null;
    }
    return Tolerance.compare(values, exact.toFloats(), exact, rows).verdict().passed();
  }
}
