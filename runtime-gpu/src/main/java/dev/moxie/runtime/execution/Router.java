package dev.moxie.runtime.execution;

import dev.moxie.format.model.Routing;

/** Carries out a routing equation in float32. */
public final class Router {
  /**
   * The experts of one token, best first, and their weights.
   *
   * @param experts [k]
   * @param weights [k]
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  public record Decision(int[] experts, float[] weights) {}

  private Router() {}

  /**
   * Routes one token.
   *
   * @param logits router logits, [E]
   */
  public static Decision route(Routing routing, float[] logits) {
    float[] scores = scores(routing, logits);
    int[] experts = largest(scores, routing.expertsPerToken());
    return new Decision(experts, weigh(routing, scores, experts));
  }

  /** The weights that a given set of experts has under these logits. */
  public static float[] weights(Routing routing, float[] logits, int[] experts) {
    return weigh(routing, scores(routing, logits), experts);
  }

  private static float[] scores(Routing routing, float[] logits) {
    return switch (routing.score()) {
      case SOFTMAX -> softmax(logits);
    };
  }

  private static float[] softmax(float[] logits) {
    float max = Float.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    float[] scores = new float[logits.length];
    float sum = 0;
    for (int e = 0; e < logits.length; e++) {
      scores[e] = (float) Math.exp(logits[e] - max);
      sum += scores[e];
    }
    for (int e = 0; e < scores.length; e++) {
      scores[e] /= sum;
    }
    return scores;
  }

  /** The k largest, best first; of equal ones the lower id. */
  private static int[] largest(float[] scores, int k) {
    boolean[] taken = new boolean[scores.length];
    int[] best = new int[k];
    for (int i = 0; i < k; i++) {
      int next = -1;
      for (int e = 0; e < scores.length; e++) {
        if (!taken[e] && (next < 0 || scores[e] > scores[next])) {
          next = e;
        }
      }
      taken[next] = true;
      best[i] = next;
    }
    return best;
  }

  private static float[] weigh(Routing routing, float[] scores, int[] experts) {
    float[] weights = new float[experts.length];
    float sum = 0;
    for (int i = 0; i < experts.length; i++) {
      weights[i] = scores[experts[i]];
      sum += weights[i];
    }
    Routing.Normalisation normalisation = routing.normalisation();
    for (int i = 0; i < weights.length; i++) {
      if (normalisation != null) {
        weights[i] /= sum + (float) normalisation.epsilon();
      }
      weights[i] *= (float) routing.scale();
    }
    return weights;
  }
}
