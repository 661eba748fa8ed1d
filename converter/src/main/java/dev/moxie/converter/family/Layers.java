package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntFunction;

/** Decoder layers as runs of equal ones. */
final class Layers {
  private Layers() {}

  /**
   * The runs of so many layers.
   *
   * @param attention of each, counted from 0
   * @param feedForward of each
   */
  static List<Architecture.Blocks> of(
      int count,
      IntFunction<? extends Attention> attention,
      IntFunction<? extends FeedForward> feedForward) {
    List<Architecture.Blocks> runs = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      var layer = new Architecture.Blocks(1, attention.apply(i), feedForward.apply(i));
      Architecture.Blocks last = runs.isEmpty() ? layer : runs.getLast();
      boolean like =
          !runs.isEmpty()
              && last.attention().equals(layer.attention())
              && last.feedForward().equals(layer.feedForward());
      if (like) {
        runs.removeLast();
        runs.add(new Architecture.Blocks(last.count() + 1, last.attention(), last.feedForward()));
      } else {
        runs.add(layer);
      }
    }
    return runs;
  }
}
