package dev.moxie.runtime.generation;

import dev.moxie.format.error.UnsupportedException;
import dev.moxie.runtime.execution.Model;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.LongConsumer;

/** Continues a sequence token by token. */
public final class Generator {
  private Generator() {}

  /**
   * Generates until an end token or the limit.
   *
   * @param prompt at least one token
   * @param limit new tokens at most
   * @param end tokens that end the text; they are not returned
   * @param onToken told each new token as soon as it is chosen
   * @return the new tokens
   * @throws UnsupportedException if a logit is no finite number
   */
  public static List<Long> generate(
      Model model, long[] prompt, int limit, Sampler sampler, Set<Long> end, LongConsumer onToken) {
    return generate(
        model,
        prompt,
        limit,
        sampler,
        end,
        logits -> requireFinite(logits, model.length()),
        onToken);
  }

  /** The largest-logit continuation of a prompt by exactly {@code count} tokens. */
  public static List<Long> greedy(Model model, long[] prompt, int count, Set<Long> suppressed) {
    return generate(
        model,
        prompt,
        count,
        Sampler.GREEDY,
        Set.of(),
        logits -> suppressed.forEach(id -> logits[Math.toIntExact(id)] = Float.NEGATIVE_INFINITY),
        token -> {});
  }

  private static List<Long> generate(
      Model model,
      long[] prompt,
      int limit,
      Sampler sampler,
      Set<Long> end,
      Consumer<float[]> onLogits,
      LongConsumer onToken) {
    SplittableRandom random = sampler.random();
    List<Long> generated = new ArrayList<>();
    model.begin(Math.addExact(prompt.length, limit));
    long[] next = prompt;
    while (generated.size() < limit) {
      float[] last = model.next(next);
      onLogits.accept(last);
      long token = sampler.choose(last, random);
      if (end.contains(token)) {
        break;
      }
      generated.add(token);
      onToken.accept(token);
      next = new long[] {token};
    }
    return generated;
  }

  private static void requireFinite(float[] logits, int tokens) {
    for (float logit : logits) {
      if (!Float.isFinite(logit)) {
        throw new UnsupportedException(
            "the sequence, after " + tokens + " tokens",
            "logits that are finite numbers",
            String.valueOf(logit),
            "float16, in which CUDA computes, holds less than float32: try --device cpu; if that"
                + " finds the same, these weights compute nothing here");
      }
    }
  }
}
