package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Attention of new tokens to those so far and themselves.
 *
 * @param first position of the first new token
 */
record Attending(int first) {
  /** The score that takes no share. */
  private static final double NO_SINK = Double.NEGATIVE_INFINITY;

  /**
   * Every head's query against the keys that it may see; heads side by side.
   *
   * @param sinks a score per head beside those of keys; null where there are none
   */
  Activation grouped(
      Attention.GroupedQuery a, Activation q, Past.Kept past, float @Nullable [] sinks) {
    int d = a.headSize();
    var output = new Activation(q.rows(), q.columns());
    long each = 2L * d * (first + q.rows());
    Work.each(
        q.rows() * a.heads(),
        each,
        (from, to) -> {
          for (int turn = from; turn < to; turn++) {
            int t = turn / a.heads();
            int head = turn % a.heads();
            int shared = head * a.keyValueHeads() / a.heads() * d;
            int seen = (int) a.firstSeen(first + t);
            double[] scores = new double[first + t + 1 - seen];
            for (int j = 0; j < scores.length; j++) {
              float[] key = past.keys().get(seen + j);
              float[] queries = q.values();
              int query = t * q.columns() + head * d;
              scores[j] = a.softmaxScale() * Sums.dot(queries, query, key, shared, d);
            }
            double[] mixed = new double[d];
            double sink = sinks == null ? NO_SINK : sinks[head];
            mix(scores, sink, past.values(), seen, shared, mixed);
            put(mixed, output, t, head * d);
          }
        });
    return output;
  }

  /**
   * Latent attention in the absorbed form: since q · (U c) = (Uᵀ q) · c, queries are taken to the
   * latents, which are keys and values of all heads (DeepSeek-AI, "DeepSeek-V2", 2024, section
   * 2.1.2).
   */
  Activation latent(Attention.MultiHeadLatent a, Activation q, Past.Kept past, StoredMatrix up) {
    var output = new Activation(q.rows(), a.heads() * a.valueSize());
    long each =
        (long) q.rows() * a.latentSize() * (a.plainSize() + a.valueSize() + 2L * first + q.rows());
    Work.each(
        a.heads(),
        each,
        (from, to) -> {
          for (int head = from; head < to; head++) {
            latentHead(a, head, q, past, up, output);
          }
        });
    return output;
  }

  private void latentHead(
      Attention.MultiHeadLatent a,
      int head,
      Activation q,
      Past.Kept past,
      StoredMatrix up,
      Activation output) {
    int rank = a.latentSize();
    int tokens = q.rows();
    int firstRow = head * (a.plainSize() + a.valueSize());
    float[] row = new float[rank];
    double[][] taken = new double[tokens][rank];
    for (int i = 0; i < a.plainSize(); i++) {
      up.read(firstRow + i, row);
      for (int t = 0; t < tokens; t++) {
        Sums.add(q.at(t, head * a.headSize() + i), row, 0, taken[t]);
      }
    }
    var contexts = new Activation(tokens, rank);
    float[] inLatent = new float[rank];
    for (int t = 0; t < tokens; t++) {
      for (int i = 0; i < rank; i++) {
        inLatent[i] = (float) taken[t][i];
      }
      int turned = t * q.columns() + head * a.headSize() + a.plainSize();
      double[] scores = new double[first + t + 1];
      for (int j = 0; j < scores.length; j++) {
        double latents = Sums.dot(inLatent, 0, past.keys().get(j), 0, rank);
        float[] key = past.values().get(j);
        scores[j] = a.softmaxScale() * (latents + Sums.dot(q.values(), turned, key, 0, key.length));
      }
      double[] mixed = new double[rank];
      mix(scores, NO_SINK, past.keys(), 0, 0, mixed);
      put(mixed, contexts, t, 0);
    }
    for (int i = 0; i < a.valueSize(); i++) {
      up.read(firstRow + a.plainSize() + i, row);
      for (int t = 0; t < tokens; t++) {
        double value = Sums.dot(contexts.values(), t * rank, row, 0, rank);
        output.set(t, head * a.valueSize() + i, value);
      }
    }
  }

  /**
   * Σ softmax(scores)_j values[first + j], columns from one on.
   *
   * @param sink a score that takes its share and has no value
   */
  private static void mix(
      double[] scores, double sink, List<float[]> values, int first, int column, double[] mixed) {
    double max = sink;
    for (double score : scores) {
      max = Math.max(max, score);
    }
    double total = StrictMath.exp(sink - max);
    for (int j = 0; j < scores.length; j++) {
      double share = StrictMath.exp(scores[j] - max);
      total += share;
      Sums.add(share, values.get(first + j), column, mixed);
    }
    for (int i = 0; i < mixed.length; i++) {
      mixed[i] /= total;
    }
  }

  private static void put(double[] values, Activation into, int row, int column) {
    for (int i = 0; i < values.length; i++) {
      into.set(row, column + i, values[i]);
    }
  }
}
