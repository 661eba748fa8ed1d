package dev.moxie.cli;

/** How long a text was waited for, and how fast it came. */
final class Pace {
  private final long start = System.nanoTime();
  private long opened;
  private long first;
  private long last;
  private int tokens;

  /** The model is open and checked, and is given the prompt. */
  void opened() {
    opened = System.nanoTime();
  }

  /** There is one more token. */
  void token(long id) {
    last = System.nanoTime();
    if (tokens++ == 0) {
      first = last;
    }
  }

  @Override
  public String toString() {
    String open = String.format("open after %.2f s", (opened - start) / 1e9);
    if (tokens == 0) {
      return open + ", no token";
    }
    String one = String.format("%s, first token %.2f s later", open, (first - opened) / 1e9);
    return tokens == 1
        ? one
        : String.format("%s, then %.1f tokens/s", one, (tokens - 1) * 1e9 / (last - first));
  }
}
