package dev.moxie.verifier.eval;

/**
 * The distribution over the next token that one row of logits x stands for: ln p_v = x_v − ln Σ_j
 * e^{x_j}. The largest logit m is taken out of the sum, ln Σ_j e^{x_j} = m + ln Σ_j e^{x_j − m}, so
 * that no power overflows (Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and
 * softmax functions", IMA Journal of Numerical Analysis, 2021, equation 1.3). Sums are in double
 * precision and in the order of the vocabulary, with {@link StrictMath}, so that every machine gets
 * the same bits.
 */
public final class LogSoftmax {
  private final float[] logits;
  private final int from;
  private final int words;
  private final int top;
  private final double most;
  private final double logSum;

  /**
   * Of a row.
   *
   * @param from its place in {@code logits}
   * @param words V
   */
  public LogSoftmax(float[] logits, int from, int words) {
    this.logits = logits;
    this.from = from;
    this.words = words;
    int largest = 0;
    for (int v = 1; v < words; v++) {
      if (logits[from + v] > logits[from + largest]) {
        largest = v;
      }
    }
    most = logits[from + largest];
    double sum = 0;
    for (int v = 0; v < words; v++) {
      sum += StrictMath.exp(logits[from + v] - most);
    }
    top = largest;
    logSum = StrictMath.log(sum);
  }

  /** ln p of a token. */
  public double of(int word) {
    // In this order: of large logits, the largest and the logarithm would add up to the largest.
    return logits[from + word] - most - logSum;
  }

  /** The likeliest token; of several the lowest. */
  public int top() {
    return top;
  }

  /** Whether every logit is a finite number. */
  public boolean isFinite() {
    for (int v = 0; v < words; v++) {
      if (!Float.isFinite(logits[from + v])) {
        return false;
      }
    }
    return true;
  }

  /**
   * D(P ‖ Q) = Σ_v p_v (ln p_v − ln q_v) in nats, P being this distribution (Kullback and Leibler,
   * "On information and sufficiency", 1951): what is lost per token where Q stands in for P. Never
   * negative; 0 where logits are the same. Smaller than about 1e-14 it is rounding.
   */
  public double divergence(LogSoftmax q) {
    double sum = 0;
    for (int v = 0; v < words; v++) {
      double own = of(v);
      sum += StrictMath.exp(own) * (own - q.of(v));
    }
    return Math.max(0, sum);
  }
}
