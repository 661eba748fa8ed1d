package dev.moxie.verifier.eval;

import org.jspecify.annotations.Nullable;

/**
 * How well a model foresees a text.
 *
 * @param crossEntropy −1/N Σ ln p(token | those before it), in nats per token
 * @param standardError of that, as if tokens were independent; null of one token
 * @param perplexity exp(cross-entropy): among so many equally likely tokens a model would have to
 *     choose to do as well (Jelinek, Mercer, Bahl and Baker, "Perplexity: a measure of the
 *     difficulty of speech recognition tasks", 1977)
 */
public record Likelihood(double crossEntropy, @Nullable Double standardError, double perplexity) {
  static Likelihood of(Mean surprise) {
    return new Likelihood(
        surprise.mean(), surprise.standardError(), StrictMath.exp(surprise.mean()));
  }
}
