package dev.moxie.runtime.execution;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import java.util.concurrent.atomic.AtomicLongArray;
import org.jspecify.annotations.Nullable;

/**
 * How many tokens chose each expert since a model was opened. One thread counts, and allocates
 * nothing for that; any may read.
 */
public final class ExpertLoad {
  private final AtomicLongArray[] counts;
  private final int[] expertsPerToken;

  ExpertLoad(Architecture architecture) {
    int layers = architecture.layers().size();
    counts = new AtomicLongArray[layers];
    expertsPerToken = new int[layers];
    for (int i = 0; i < layers; i++) {
      counts[i] = new AtomicLongArray(0);
      if (architecture.layers().get(i).feedForward()
          instanceof FeedForward.MixtureOfExperts moe) {
        counts[i] = new AtomicLongArray(moe.experts());
        expertsPerToken[i] = moe.routing().expertsPerToken();
      }
    }
  }

  /** Layers of the model, with and without experts. */
  public int layers() {
    return counts.length;
  }

  /** Experts of a layer; 0 if it has none. */
  public int experts(int layer) {
    return counts[layer].length();
  }

  /** Those that a token has there. */
  public int expertsPerToken(int layer) {
    return expertsPerToken[layer];
  }

  /** Tokens that chose an expert. */
  public long tokens(int layer, int expert) {
    return counts[layer].get(expert);
  }

  /** How evenly a layer with experts was used; null before its first token. */
  public @Nullable Utilisation utilisation(int layer) {
    long[] now = new long[experts(layer)];
    long choices = 0;
    for (int e = 0; e < now.length; e++) {
      now[e] = tokens(layer, e);
      choices += now[e];
    }
    int k = expertsPerToken[layer];
    return choices < k ? null : Utilisation.of(now, choices / k, k);
  }

  /** Counts the experts of one token, which stand first in a row. */
  void count(int layer, float[] row) {
    AtomicLongArray own = counts[layer];
    for (int i = 0; i < expertsPerToken[layer]; i++) {
      int expert = (int) row[i];
      own.setRelease(expert, own.getPlain(expert) + 1);
    }
  }
}
