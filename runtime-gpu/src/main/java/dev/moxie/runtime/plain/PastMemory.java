package dev.moxie.runtime.plain;

/** How many blocks of past tokens the sequences of a model have, those that they share once. */
public final class PastMemory {
  private final long most;
  private final long state;
  private long taken;

  /**
   * @param most blocks that there may be
   * @param state as many of them as the states of one sequence take
   */
  public PastMemory(long most, long state) {
    this.most = most;
    this.state = state;
  }

  /** Blocks that the states of one sequence take. */
  public long state() {
    return state;
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
