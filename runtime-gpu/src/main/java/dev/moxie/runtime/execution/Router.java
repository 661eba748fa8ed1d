package dev.moxie.runtime.execution;

import dev.moxie.format.model.Routing;
import java.util.Arrays;

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
   * @param bias one per expert, [E]; ignored without a bias
   * @param logits router logits, [E]
   */
  public static Decision route(Routing routing, float[] bias, float[] logits) {
    float[] scores = scores(routing, logits);
    float[] choice = choice(routing, bias, scores);
    Routing.Groups groups = routing.groups();
    int[] experts =
        largest(groups == null ? choice : masked(groups, choice), routing.expertsPerToken());
    return new Decision(experts, weigh(routing, scores, choice, experts));
  }

  /** The weights that a given set of experts has under these logits. */
  public static float[] weights(Routing routing, float[] bias, float[] logits, int[] experts) {
    float[] scores = scores(routing, logits);
    return weigh(routing, scores, choice(routing, bias, scores), experts);
  }

  private static float[] choice(Routing routing, float[] bias, float[] scores) {
    if (routing.bias() == null) {
      return scores;
    }
    float[] choice = new float[scores.length];
    for (int e = 0; e < choice.length; e++) {
      choice[e] = scores[e] + bias[e];
    }
    return choice;
  }

  /** The values with those outside the kept groups replaced. */
  private static float[] masked(Routing.Groups groups, float[] choice) {
    int size = choice.length / groups.count();
    float[] aggregates = new float[groups.count()];
    for (int g = 0; g < aggregates.length; g++) {
      float[] group = Arrays.copyOfRange(choice, g * size, (g + 1) * size);
      Arrays.sort(group);
      aggregates[g] =
          switch (groups.aggregate()) {
            case MAXIMUM -> group[size - 1];
            case SUM_OF_TOP_TWO -> group[size - 1] + group[size - 2];
          };
    }
    float[] masked = new float[choice.length];
    Arrays.fill(
        masked,
        switch (groups.maskValue()) {
          case ZERO -> 0;
          case NEGATIVE_INFINITY -> Float.NEGATIVE_INFINITY;
        });
    for (int g : largest(aggregates, groups.kept())) {
      System.arraycopy(choice, g * size, masked, g * size, size);
    }
    return masked;
  }

  private static float[] scores(Routing routing, float[] logits) {
    return switch (routing.score()) {
      case SOFTMAX -> softmax(logits);
      case SIGMOID -> sigmoid(logits);
    };
  }

  private static float[] sigmoid(float[] logits) {
    float[] scores = new float[logits.length];
    for (int e = 0; e < logits.length; e++) {
      scores[e] = (float) (1 / (1 + Math.exp(-logits[e])));
    }
    return scores;
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

  private static float[] weigh(Routing routing, float[] scores, float[] choice, int[] experts) {
    float[] values = routing.bias() == Routing.Bias.SELECTION_AND_WEIGHTS ? choice : scores;
    float[] weights = new float[experts.length];
    float sum = 0;
    for (int i = 0; i < experts.length; i++) {
      weights[i] = values[experts[i]];
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
