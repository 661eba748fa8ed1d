package dev.moxie.runtime.execution;

import dev.moxie.format.pack.MoxiePackage;

/** What both executions share: a sequence of tokens, and room for those to come. */
abstract class CachedModel implements Model {
  final MoxiePackage pack;
  private int capacity;
  private int length;

  CachedModel(MoxiePackage pack) {
    this.pack = pack;
  }

  @Override
  public final void begin(int tokens) {
    allocate(tokens);
    capacity = tokens;
    length = 0;
  }

  /** Makes an empty cache for so many tokens. */
  abstract void allocate(int tokens);

  @Override
  public final float[] append(long[] ids) {
    return forward(ids, advance(ids));
  }

  /**
   * Logits after each new token.
   *
   * @param first position of the first
   */
  abstract float[] forward(long[] ids, int first);

  /** Makes room for new tokens, and gives the position of the first. */
  final int advance(long[] ids) {
    for (long id : ids) {
      if (id < 0 || id >= pack.architecture().vocabSize()) {
        throw new IllegalArgumentException(
            "token " + id + " is not among the " + pack.architecture().vocabSize());
      }
    }
    if (ids.length < 1 || length + ids.length > capacity) {
      throw new IllegalArgumentException(
          ids.length + " more tokens do not fit a sequence of " + capacity);
    }
    int first = length;
    length += ids.length;
    return first;
  }

  @Override
  public final int length() {
    return length;
  }
}
