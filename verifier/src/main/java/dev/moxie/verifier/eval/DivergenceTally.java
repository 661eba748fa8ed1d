package dev.moxie.verifier.eval;

import dev.moxie.verifier.report.Divergence;
import java.util.Arrays;

/** Adds up how far predictions are apart, token by token. */
public final class DivergenceTally {
  private double[] divergences = new double[64];
  private int count;
  private long agreeing;
  private double sum;

  /**
   * Adds a token.
   *
   * @param p the prediction to be met
   * @param q the one that is held to it
   */
  public void add(LogSoftmax p, LogSoftmax q) {
    add(p.divergence(q), p.top() == q.top());
  }

  void add(double divergence, boolean agrees) {
    if (count == divergences.length) {
      divergences = Arrays.copyOf(divergences, Math.multiplyExact(2, count));
    }
    divergences[count++] = divergence;
    agreeing += agrees ? 1 : 0;
    sum += divergence;
  }

  /** Of all tokens so far, at least one. */
  public Divergence result() {
    double[] sorted = Arrays.copyOf(divergences, count);
    Arrays.sort(sorted);
    double worst = sorted[count - 1];
    int at = 0;
    while (Double.compare(divergences[at], worst) != 0) {
      at++;
    }
    return new Divergence(
        count,
        sum / count,
        share(sorted, 0.5),
        share(sorted, 0.99),
        worst,
        at,
        (double) agreeing / count);
  }

  /** The least that a share of all does not exceed. */
  private static double share(double[] sorted, double share) {
    return sorted[Math.max(0, (int) Math.ceil(share * sorted.length) - 1)];
  }
}
