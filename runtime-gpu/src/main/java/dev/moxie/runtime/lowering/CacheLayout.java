package dev.moxie.runtime.lowering;

import dev.moxie.format.model.Attention;

/**
 * What one layer's attention keeps of past tokens: keys and values [1, heads, capacity, headSize].
 *
 * @param heads key/value heads
 * @param headSize width of one, padded to what the attention operator takes
 * @param latent whether keys and values are the same compressed latent, and so the same memory
 */
public record CacheLayout(int heads, int headSize, boolean latent) {
  /** ONNX Runtime refuses GroupQueryAttention heads whose width is no multiple of this. */
  private static final int HEAD_MULTIPLE = 8;

  /** How a target caches an attention: latent where it can, since that is smallest. */
  public static CacheLayout of(Attention attention, Target target) {
    return switch (attention) {
      case Attention.GroupedQuery a ->
          new CacheLayout(
              a.keyValueHeads(), padded(Math.max(a.headSize(), a.valuesOfHead())), false);
      case Attention.MultiHeadLatent a -> {
        int latent = padded(a.latentSize() + a.shared());
        yield latent <= target.widestHead()
            ? new CacheLayout(1, latent, true)
            : new CacheLayout(a.heads(), padded(Math.max(a.headSize(), a.valueSize())), false);
      }
      case Attention.Recurrent _ ->
          throw new IllegalStateException("a state, which no graph computes");
      case Attention.Compressed a ->
          throw new IllegalStateException("entries of tokens, which no graph computes");
    };
  }

  private static int padded(int headSize) {
    return Math.ceilDiv(headSize, HEAD_MULTIPLE) * HEAD_MULTIPLE;
  }

  /** Shape of the keys, and of the values. */
  public long[] shape(long capacity) {
    return new long[] {1, heads, capacity, headSize};
  }
}
