package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonIgnore;
import java.util.ArrayList;
import java.util.List;

/**
 * The family-neutral description of a decoder-only forward pass over tokens x:
 *
 * <pre>
 * h     = embedding[x]                                    [T, H]
 * for each layer:
 *   a   = h + attention(rmsnorm(h))                       [T, H]
 *   h   = a + feedForward(rmsnorm(a))                     [T, H]
 * logits = rmsnorm(h) · headᵀ                             [T, V]
 * </pre>
 *
 * where rmsnorm(x) = weight · x / sqrt(mean(x²) + epsilon) (Zhang and Sennrich, "Root Mean Square
 * Layer Normalization", 2019).
 *
 * @param vocabSize V
 * @param hiddenSize H
 * @param maxPositions longest sequence the model was made for, in tokens
 * @param normEpsilon epsilon of every norm
 * @param tiedEmbeddings whether the head is the embedding
 * @param blocks runs of equal layers, first layer first
 */
public record Architecture(
    int vocabSize,
    int hiddenSize,
    long maxPositions,
    double normEpsilon,
    boolean tiedEmbeddings,
    List<Blocks> blocks) {

  /**
   * A run of equal decoder layers.
   *
   * @param count layers in the run
   */
  public record Blocks(int count, Attention attention, FeedForward feedForward) {
    public Blocks {
      Limits.require("blocks.count", count, 1, Limits.MAX_LAYERS);
      java.util.Objects.requireNonNull(attention, "blocks.attention is missing");
      java.util.Objects.requireNonNull(feedForward, "blocks.feedForward is missing");
    }
  }

  public Architecture {
    Limits.require("vocabSize", vocabSize, 1, Limits.MAX_VOCABULARY);
    Limits.require("hiddenSize", hiddenSize, 1, Limits.MAX_WIDTH);
    Limits.require("maxPositions", maxPositions, 1, Limits.MAX_POSITIONS);
    Limits.requirePositive("normEpsilon", normEpsilon);
    blocks = List.copyOf(java.util.Objects.requireNonNull(blocks, "blocks is missing"));
    Limits.require("layers", blocks.stream().mapToLong(Blocks::count).sum(), 1, Limits.MAX_LAYERS);
  }

  /** One entry per layer; layers of a run share their {@link Blocks}. */
  @JsonIgnore
  public List<Blocks> layers() {
    List<Blocks> layers = new ArrayList<>();
    for (Blocks run : blocks) {
      for (int i = 0; i < run.count(); i++) {
        layers.add(run);
      }
    }
    return layers;
  }
}
