package dev.moxie.runtime.execution;

import dev.moxie.format.error.UnsupportedException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The parts of a forward pass, each of which runs alone on what it is given. */
public interface Layers extends AutoCloseable {

  /** Hidden states of tokens, [S · H]. */
  float[] embed(long[] ids);

  /**
   * Runs one layer alone on the first tokens of a sequence.
   *
   * @param ids of the tokens, which some layers choose experts by
   * @param hidden its input, [S · H], of all residual streams where there are several
   * @param experts the experts of each token where the caller decides them, else null
   */
  Result layerAlone(int layer, long[] ids, float[] hidden, @Nullable List<int[]> experts);

  /**
   * Has layers of a decoder, which run alone from now on, read what the last layer of the encoder
   * leaves.
   *
   * @param hidden [S · H]
   */
  default void read(float[] hidden) {
    throw new UnsupportedException(
        "hidden states of an encoder", "a model that has one", "none", "report this");
  }

  /** Has tokens show an image from now on ({@link Model#see}). */
  default void see(float[] patches) {
    throw new UnsupportedException("an image", "a model that reads one", "another", "report this");
  }

  /** Logits [S · V], of an image [V], from hidden states [S · H]. */
  float[] head(float[] hidden);

  /**
   * What one layer did with S tokens.
   *
   * @param output residual stream after the layer, [S · H]
   * @param mixture null for a layer without experts
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  record Result(float[] output, @Nullable Mixture mixture) {}

  /**
   * What the experts of one layer did with S tokens.
   *
   * @param normed what router and experts read, [S · H]
   * @param routerLogits [S · E]
   * @param scores of the experts, [S · E]
   * @param choice what experts were chosen by, before any mask, [S · E]
   * @param groups what groups were chosen by, [S · count]; null without groups
   * @param decisions one per token
   * @param dropped 1 for each choice that is dropped, else 0, [S · k]; null where none can be
   * @param expertsOutput weighted sum over the chosen experts, [S · H]
   * @param output that and the shared experts' output, [S · H]
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  record Mixture(
      float[] normed,
      float[] routerLogits,
      float[] scores,
      float[] choice,
      float @Nullable [] groups,
      List<Decision> decisions,
      float @Nullable [] dropped,
      float[] expertsOutput,
      float[] output) {}

  /**
   * The experts of one token, best first, and their weights.
   *
   * @param experts [k]
   * @param weights [k]
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  record Decision(int[] experts, float[] weights) {}

  @Override
  void close();
}
