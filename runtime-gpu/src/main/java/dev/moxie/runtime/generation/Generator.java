package dev.moxie.runtime.generation;

import dev.moxie.runtime.execution.Model;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
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
   */
  public static List<Long> generate(
      Model model, long[] prompt, int limit, Sampler sampler, Set<Long> end, LongConsumer onToken) {
    return generate(model, prompt, limit, sampler, end, Set.of(), onToken);
  }

  /** The largest-logit continuation of a prompt by exactly {@code count} tokens. */
  public static List<Long> greedy(Model model, long[] prompt, int count, Set<Long> suppressed) {
    return generate(model, prompt, count, Sampler.GREEDY, Set.of(), suppressed, token -> {});
  }

  private static List<Long> generate(
      Model model,
      long[] prompt,
      int limit,
      Sampler sampler,
      Set<Long> end,
      Set<Long> suppressed,
      LongConsumer onToken) {
    SplittableRandom random = sampler.random();
    List<Long> generated = new ArrayList<>();
    model.begin(Math.addExact(prompt.length, limit));
    long[] next = prompt;
    while (generated.size() < limit) {
      float[] logits = model.append(next);
      float[] last =
          Arrays.copyOfRange(logits, logits.length - logits.length / next.length, logits.length);
      suppressed.forEach(id -> last[Math.toIntExact(id)] = Float.NEGATIVE_INFINITY);
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
}
