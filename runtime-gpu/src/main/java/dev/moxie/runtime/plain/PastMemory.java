package dev.moxie.runtime.plain;

/** How many blocks of past tokens the sequences of a model have, those that they share once. */
public final class PastMemory {
  private final long most;
  private long taken;

  /**
   * @param most blocks that there may be
   */
  public PastMemory(long most) {
    this.most = most;
  }

  /** Blocks that are taken. */
  public long taken() {
    return taken;
  }

  /** Blocks that may still be taken. */
  public long free() {
    return most - taken;
  }

  /** Takes blocks; whoever lets tokens pass has seen to it that they are free. */
  void take(long blocks) {
    if (blocks > free()) {
      throw new IllegalStateException(blocks + " blocks of " + free());
    }
    taken += blocks;
  }

  void give(long blocks) {
    taken -= blocks;
  }
}
