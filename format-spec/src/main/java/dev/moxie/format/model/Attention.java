package dev.moxie.format.model;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import org.jspecify.annotations.Nullable;

/** How tokens see each other. Causal: position i sees positions j ≤ i. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "type")
@JsonSubTypes(@JsonSubTypes.Type(value = Attention.GroupedQuery.class, name = "grouped_query"))
public sealed interface Attention {

  /**
   * Grouped-query attention (Ainslie et al., "GQA", 2023): query head i reads key/value head i ·
   * keyValueHeads / heads; output = softmax(scale · q·kᵀ + mask) · v, heads side by side, times the
   * output projection.
   *
   * @param heads query heads
   * @param keyValueHeads divides heads
   * @param headSize width D of one head
   * @param scale factor of q·k before the softmax, usually 1/sqrt(D)
   * @param window position i sees only j > i − window; null sees all j ≤ i
   * @param rotary applied to queries and keys
   */
  record GroupedQuery(
      int heads,
      int keyValueHeads,
      int headSize,
      double scale,
      @Nullable Integer window,
      Rotary rotary)
      implements Attention {
    public GroupedQuery {
      Limits.require("attention.heads", heads, 1, Limits.MAX_HEADS);
      Limits.require("attention.keyValueHeads", keyValueHeads, 1, heads);
      Limits.require("attention.headSize", headSize, 1, Limits.MAX_WIDTH);
      Limits.requirePositive("attention.scale", scale);
      if (heads % keyValueHeads != 0) {
        throw new IllegalArgumentException(
            "attention.keyValueHeads: expected a divisor of "
                + heads
                + " heads, found "
                + keyValueHeads);
      }
      if (window != null) {
        Limits.require("attention.window", window, 1, Integer.MAX_VALUE);
      }
      java.util.Objects.requireNonNull(rotary, "attention.rotary is missing");
      if (rotary.dimensions() > headSize) {
        throw new IllegalArgumentException(
            "attention.rotary.dimensions: expected at most headSize "
                + headSize
                + ", found "
                + rotary.dimensions());
      }
    }
  }
}
