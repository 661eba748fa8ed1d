package dev.moxie.runtime.execution;

import dev.moxie.format.error.UsageException;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Past;
import java.util.Arrays;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * A sequence alone: of a model whose encoder reads a text first, or in which what becomes of a
 * token depends on tokens after it, so that with each that comes all are computed anew.
 */
final class Anew {
  private final PlainLayers layers;
  private @Nullable Past past;
  private long[] ids = new long[0];

  Anew(PlainLayers layers) {
    this.layers = layers;
  }

  /** Forgets all tokens, but not the text that an encoder has read. */
  void begin() {
    ids = new long[0];
    if (past != null) {
      past = past.again();
    } else if (layers.architecture().encoder() == null) {
      past = new Past();
    }
  }

  /**
   * Has the encoder read a text.
   *
   * @param computed is told of each layer as soon as it is computed
   */
  void read(long[] source, IntConsumer computed) {
    var read = new Past();
    Pass pass = layers.pass();
    pass.begin(null);
    pass.add(read, 0, source, 0, source.length);
    layers.encode(computed);
    past = read.again();
    ids = new long[0];
  }

  int length() {
    return ids.length;
  }

  /**
   * Logits after each new token, [n · V], or of an image, [V]; those after earlier tokens may be
   * others than they were.
   */
  float[] append(long[] more) {
    pass(more, layer -> {});
    layers.head().program().run();
    float[] logits = layers.pass().copy(layers.head().output());
    int words = layers.architecture().vocabSize();
    int from = Math.max(0, logits.length - more.length * words);
    return Arrays.copyOfRange(logits, from, logits.length);
  }

  /**
   * Lets new tokens pass, and those before them where these may change.
   *
   * @param computed is told of each layer as soon as it is computed
   */
  void pass(long[] more, IntConsumer computed) {
    if (past == null) {
      throw new UsageException(
          "a model with an encoder",
          "a text that its encoder reads first",
          "none",
          "pass one to moxie run or verify; no other command runs such a model");
    }
    long[] all = Arrays.copyOf(ids, Math.addExact(ids.length, more.length));
    System.arraycopy(more, 0, all, ids.length, more.length);
    int first = layers.architecture().looksAhead() ? 0 : ids.length;
    past.restore();
    Pass pass = layers.pass();
    pass.begin(null);
    pass.add(past, first, all, first, all.length - first);
    layers.run(computed);
    past.keep(all.length);
    ids = all;
  }
}
