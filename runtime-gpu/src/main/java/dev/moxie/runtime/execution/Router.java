package dev.moxie.runtime.execution;

import dev.moxie.format.model.Routing;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

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

  /**
   * The closest call in choosing one token's experts: two values, one taken and one rejected.
   *
   * @param taken the smallest value that was taken
   * @param rejected the largest that was rejected
   */
  public record Margin(float taken, float rejected) {
    /** How far apart they are; 0 if the tie rule decided. */
    public double gap() {
      return (double) taken - rejected;
    }

    /**
     * Whether two real numbers this close may become these two or change places when they are
     * stored in float32: gap ≤ 2⁻²⁴ (|taken| + |rejected|).
     */
    public boolean isWithinFloat32() {
      return gap() <= 0x1p-24 * ((double) Math.abs(taken) + Math.abs(rejected));
    }
  }

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

  /**
   * How close one token's choice was: between the last chosen expert and the first rejected one of
   * the kept groups or, where that is closer, between the last kept group and the first rejected.
   * Null where nothing is rejected.
   *
   * @param bias one per expert, [E]; ignored without a bias
   * @param logits router logits, [E]
   */
  public static @Nullable Margin margin(Routing routing, float[] bias, float[] logits) {
    float[] choice = choice(routing, bias, scores(routing, logits));
    Routing.Groups groups = routing.groups();
    if (groups == null) {
      return margin(choice, routing.expertsPerToken());
    }
    float[] aggregates = aggregates(groups, choice);
    int size = choice.length / groups.count();
    float[] eligible = new float[groups.kept() * size];
    int place = 0;
    for (int g : largest(aggregates, groups.kept())) {
      System.arraycopy(choice, g * size, eligible, place, size);
      place += size;
    }
    Margin ofExperts = margin(eligible, routing.expertsPerToken());
    Margin ofGroups = margin(aggregates, groups.kept());
    if (ofExperts == null || ofGroups == null) {
      return ofExperts == null ? ofGroups : ofExperts;
    }
    return ofGroups.gap() < ofExperts.gap() ? ofGroups : ofExperts;
  }

  private static @Nullable Margin margin(float[] values, int taken) {
    if (taken >= values.length) {
      return null;
    }
    int[] order = largest(values, taken + 1);
    return new Margin(values[order[taken - 1]], values[order[taken]]);
  }

  /** The weights that a given set of experts has under these logits. */
  public static float[] weights(Routing routing, float[] bias, float[] logits, int[] experts) {
    float[] scores = scores(routing, logits);
    return weigh(routing, scores, choice(routing, bias, scores), experts);
  }

  private static float[] choice(Routing routing, float[] bias, float[] scores) {
    if (!routing.hasBiasOfScores()) {
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
    float[] masked = new float[choice.length];
    Arrays.fill(
        masked,
        switch (groups.maskValue()) {
          case ZERO -> 0;
          case NEGATIVE_INFINITY -> Float.NEGATIVE_INFINITY;
        });
    for (int g : largest(aggregates(groups, choice), groups.kept())) {
      System.arraycopy(choice, g * size, masked, g * size, size);
    }
    return masked;
  }

  private static float[] aggregates(Routing.Groups groups, float[] choice) {
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
    return aggregates;
  }

  /** The score of every expert, before any bias, [E]. */
  public static float[] scores(Routing routing, float[] logits) {
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
