package dev.moxie.runtime.generation;

import java.util.Arrays;
import java.util.BitSet;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Chooses the next token: the largest logit at temperature 0, else a draw from softmax(logits /
 * temperature), cut to the tokens whose probability is at least minP of the likeliest one's (Nguyen
 * et al., "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", 2024), then
 * to the topK likeliest, then to the fewest whose probabilities reach topP of what is left
 * (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020). Of equal logits the
 * lower id comes first. The same seed draws the same tokens.
 *
 * @param temperature from 0
 * @param topK tokens kept; 0 keeps all
 * @param topP above 0, at most 1
 * @param minP from 0 to 1; 0 keeps all
 * @param repetitionPenalty above 0: positive logits of tokens that the text has are divided by it,
 *     others multiplied (Keskar et al., "CTRL: A Conditional Transformer Language Model for
 *     Controllable Generation", 2019, section 4.1); 1 changes nothing
 * @param bias what is added to logits before that, by token
 */
public record Sampler(
    double temperature,
    int topK,
    double topP,
    double minP,
    double repetitionPenalty,
    Map<Integer, Float> bias,
    long seed) {
  /** Always the largest logit. */
  public static final Sampler GREEDY = new Sampler(0, 0, 1, 0);

  public Sampler {
    require(temperature >= 0 && temperature < Double.POSITIVE_INFINITY, "temperature from 0");
    require(topK >= 0, "top-k from 0");
    require(topP > 0 && topP <= 1, "top-p above 0 and at most 1");
    require(minP >= 0 && minP <= 1, "min-p from 0 to 1");
    require(
        repetitionPenalty > 0 && repetitionPenalty < Double.POSITIVE_INFINITY,
        "a repetition penalty above 0");
    bias = Map.copyOf(bias);
  }

  /** One that does without the rest. */
  public Sampler(double temperature, int topK, double topP, long seed) {
    this(temperature, topK, topP, 0, 1, Map.of(), seed);
  }

  private static void require(boolean holds, String expected) {
    if (!holds) {
      throw new IllegalArgumentException("expected " + expected);
    }
  }

  /** Where draws begin. */
  public SplittableRandom random() {
    return new SplittableRandom(seed);
  }

  /** The largest value's index, the lowest of equal ones. */
  public static int largest(float[] logits) {
    int best = 0;
    for (int i = 1; i < logits.length; i++) {
      if (logits[i] > logits[best]) {
        best = i;
      }
    }
    return best;
  }

  /**
   * Adds the bias and the penalty to logits.
   *
   * @param seen tokens that the text has
   */
  public void adjust(float[] logits, BitSet seen) {
    bias.forEach((id, by) -> logits[id] += by);
    if (repetitionPenalty != 1) {
      seen.stream()
          .forEach(
              id ->
                  logits[id] *=
                      (float) (logits[id] > 0 ? 1 / repetitionPenalty : repetitionPenalty));
    }
  }

  /** The next token. */
  public int choose(float[] logits, SplittableRandom random) {
    int best = largest(logits);
    if (temperature == 0) {
      return best;
    }
    double[] weights = new double[logits.length];
    double total = 0;
    for (int i = 0; i < weights.length; i++) {
      double weight = Math.exp((logits[i] - logits[best]) / temperature);
      weights[i] = weight < minP ? 0 : weight;
      total += weights[i];
    }
    if (topK == 0 && topP == 1) {
      int[] all = IntStream.range(0, weights.length).toArray();
      return draw(random.nextDouble() * total, weights, all, all.length);
    }
    int[] likeliest = topK == 0 ? beyondTail(logits, weights, total) : likeliest(logits, topK);
    total = topK == 0 ? total : Arrays.stream(likeliest).mapToDouble(i -> weights[i]).sum();
    double mass = 0;
    int nucleus = 0;
    while (nucleus < likeliest.length && mass < topP * total) {
      mass += weights[likeliest[nucleus++]];
    }
    return draw(random.nextDouble() * mass, weights, likeliest, nucleus);
  }

  /** The token at which a sum of weights passes a number. */
  private static int draw(double at, double[] weights, int[] order, int count) {
    int last = -1;
    for (int n = 0; n < count; n++) {
      int id = order[n];
      if (weights[id] > 0) {
        last = id;
        at -= weights[id];
        if (at < 0) {
          break;
        }
      }
    }
    return last;
  }

  /** The tokens with the largest logits, the largest first. */
  public static int[] likeliest(float[] logits, int count) {
    var kept = new PriorityQueue<Long>();
    for (int i = 0; i < logits.length; i++) {
      long key = key(logits[i], i);
      if (kept.size() < count) {
        kept.add(key);
      } else if (count > 0 && key > kept.element()) {
        kept.remove();
        kept.add(key);
      }
    }
    return inOrder(kept.stream().mapToLong(Long::longValue).toArray());
  }

  /**
   * All that the nucleus may need, in order: those that have less than an equal share of what topP
   * leaves have less than that together.
   */
  private int[] beyondTail(float[] logits, double[] weights, double total) {
    double least = (1 - topP) * total / weights.length;
    long[] keys = new long[weights.length];
    int count = 0;
    for (int i = 0; i < weights.length; i++) {
      if (weights[i] > 0 && weights[i] >= least) {
        keys[count++] = key(logits[i], i);
      }
    }
    return inOrder(Arrays.copyOf(keys, count));
  }

  /** Orders as logits do and, where those are equal, lower ids as larger. */
  private static long key(float logit, int id) {
    int bits = Float.floatToIntBits(logit + 0f);
    return ((long) (bits ^ ((bits >> 31) & Integer.MAX_VALUE)) << 32) | (~id & 0xffff_ffffL);
  }

  private static int[] inOrder(long[] keys) {
    Arrays.sort(keys);
    int[] ids = new int[keys.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = ~(int) keys[keys.length - 1 - i];
    }
    return ids;
  }
}
