package dev.moxie.verifier.routing;

import dev.moxie.format.error.UsageException;
import java.util.Arrays;
import java.util.function.Consumer;

/** Cuts a stream of tokens into sequences. */
final class SequenceCutter {
  private final String name;
  private final int beginning;
  private final long[] buffer;
  private final Consumer<long[]> out;
  private int filled;
  private int sequences;
  private long tokens;

  /**
   * @param name of what is cut
   * @param beginning tokens that every sequence begins with
   * @param most tokens of a sequence, with those
   * @throws UsageException if that leaves no room for others
   */
  SequenceCutter(String name, long[] beginning, int most, Consumer<long[]> out) {
    if (most <= beginning.length) {
      throw new UsageException(
          "--max-tokens",
          "room for a token after the " + beginning.length + " that begin a text",
          String.valueOf(most),
          "pass more");
    }
    this.name = name;
    this.beginning = beginning.length;
    this.buffer = Arrays.copyOf(beginning, most);
    this.out = out;
    this.filled = beginning.length;
  }

  void add(long[] ids) {
    for (long id : ids) {
      buffer[filled++] = id;
      if (filled == buffer.length) {
        send();
      }
    }
  }

  private void send() {
    out.accept(Arrays.copyOf(buffer, filled));
    sequences++;
    tokens += filled;
    filled = beginning;
  }

  /**
   * Passes on what is left.
   *
   * @throws UsageException if there was nothing at all
   */
  Corpus.Source finish() {
    if (filled > beginning) {
      send();
    }
    if (sequences == 0) {
      throw new UsageException(name, "at least one token", "none", "pass something to run on");
    }
    return new Corpus.Source(name, sequences, tokens);
  }
}
