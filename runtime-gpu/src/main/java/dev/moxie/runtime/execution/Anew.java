package dev.moxie.runtime.execution;

import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Past;
import java.util.Arrays;
import java.util.function.IntConsumer;

/**
 * A sequence of a model in which what becomes of a token depends on tokens after it: with each that
 * comes, all are computed anew.
 */
final class Anew {
  private final PlainLayers layers;
  private long[] ids = new long[0];

  Anew(PlainLayers layers) {
    this.layers = layers;
  }

  void begin() {
    ids = new long[0];
  }

  int length() {
    return ids.length;
  }

  /**
   * Logits after each new token, [n · V]; those after earlier ones may be others than they were.
   */
  float[] append(long[] more) {
    pass(more, layer -> {});
    layers.head().program().run();
    float[] logits = layers.pass().copy(layers.head().output());
    int words = layers.architecture().vocabSize();
    return Arrays.copyOfRange(logits, logits.length - more.length * words, logits.length);
  }

  /**
   * Lets all tokens pass, and new ones with them.
   *
   * @param computed is told of each layer as soon as it is computed
   */
  void pass(long[] more, IntConsumer computed) {
    long[] all = Arrays.copyOf(ids, Math.addExact(ids.length, more.length));
    System.arraycopy(more, 0, all, ids.length, more.length);
    Pass pass = layers.pass();
    pass.begin(null);
    pass.add(new Past(), 0, all, 0, all.length);
    layers.run(computed);
    ids = all;
  }
}
