package dev.moxie.verifier.routing;

import dev.moxie.format.model.FeedForward;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.Margin;
import dev.moxie.runtime.execution.Utilisation;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Adds up the decisions of one layer in memory that does not grow with them. */
final class LayerTally {
  private final int layer;
  private final int expertsPerToken;
  private final boolean drops;
  private final long[] counts;
  private final double[] weights;
  private final double[] scores;
  private final Margins margins = new Margins();
  private double smallest = Double.POSITIVE_INFINITY;
  private long withinFloat32;
  private long dropped;
  private int tokens;

  LayerTally(int layer, FeedForward.MixtureOfExperts moe) {
    this.layer = layer;
    this.expertsPerToken = moe.routing().expertsPerToken();
    this.drops = moe.routing().drops() != null;
    this.counts = new long[moe.experts()];
    this.weights = new double[moe.experts()];
    this.scores = new double[moe.experts()];
  }

  /**
   * Adds a token.
   *
   * @param scored before any bias, [E]
   */
  void add(float[] scored, Layers.Decision decision, @Nullable Margin margin) {
    tokens = Math.incrementExact(tokens);
    double total = 0;
    for (float score : scored) {
      total += score;
    }
    for (int e = 0; e < scored.length; e++) {
      // Sigmoids may all round to zero.
      scores[e] += total == 0 ? 1.0 / scored.length : scored[e] / total;
    }
    for (int i = 0; i < decision.experts().length; i++) {
      counts[decision.experts()[i]]++;
      weights[decision.experts()[i]] += decision.weights()[i];
      dropped += drops && decision.weights()[i] == 0 ? 1 : 0;
    }
    if (margin != null) {
      add(margin);
    }
  }

  private void add(Margin margin) {
    smallest = Math.min(smallest, margin.gap());
    withinFloat32 += margin.isWithinFloat32() ? 1 : 0;
    margins.add(margin.gap());
  }

  LayerStatistics statistics() {
    List<@Nullable Double> meanWeights = new ArrayList<>();
    double loss = 0;
    for (int e = 0; e < counts.length; e++) {
      meanWeights.add(counts[e] == 0 ? null : weights[e] / counts[e]);
      loss += counts[e] / ((double) tokens * expertsPerToken) * (scores[e] / tokens);
    }
    return new LayerStatistics(
        layer,
        counts.length,
        Utilisation.of(counts, tokens, expertsPerToken),
        dropped,
        meanWeights,
        Arrays.stream(scores).mapToObj(sum -> sum / tokens).toList(),
        counts.length * loss,
        Double.isInfinite(smallest) ? null : smallest,
        margins.median(),
        withinFloat32);
  }
}
