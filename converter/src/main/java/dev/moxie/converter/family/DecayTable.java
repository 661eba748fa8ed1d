package dev.moxie.converter.family;

import dev.moxie.format.safetensors.Shape;
import java.util.List;
import java.util.Map;

/**
 * What a checkpoint of lightning attention has in tables, although it follows from the rates at
 * which heads fade (transformers {@code models/minimax/modeling_minimax.py}): by how much a block
 * of tokens does. They are kept for export.
 */
public enum DecayTable {
  /** The rates themselves. */
  RATES,
  /** From the beginning of a block to each of its tokens. */
  TO_TOKEN,
  /** From each token of a block to its end. */
  FROM_TOKEN,
  /** From each token of a block to each, which is nothing to those before it. */
  BETWEEN;

  /** By what the names of such tensors end with. */
  static final Map<String, DecayTable> NAMES =
      Map.of(
          ".self_attn.slope_rate", RATES,
          ".self_attn.query_decay", TO_TOKEN,
          ".self_attn.key_decay", FROM_TOKEN,
          ".self_attn.diagonal_decay", BETWEEN);

  /** Tokens of a block, as the table's shape has them. */
  public long block(Shape shape) {
    return this == RATES || shape.rank() < 3 ? 1 : shape.dim(shape.rank() == 3 ? 1 : 2);
  }

  /** The shape with so many heads. */
  public Shape shape(long heads, long block) {
    return new Shape(
        this == BETWEEN ? List.of(1L, heads, block, block) : List.of(heads, block, 1L));
  }

  /**
   * One number.
   *
   * @param rate of the head
   * @param at of the head's numbers, from 0
   */
  public double value(double rate, long block, long at) {
    return switch (this) {
      case RATES -> rate;
      case TO_TOKEN -> Math.exp(-rate * (at + 1));
      case FROM_TOKEN -> Math.exp(-rate * (block - at - 1));
      case BETWEEN -> at / block < at % block ? 0 : Math.exp(-rate * (at / block - at % block));
    };
  }
}
