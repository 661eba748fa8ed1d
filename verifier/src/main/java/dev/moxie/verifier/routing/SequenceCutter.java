package dev.moxie.verifier.routing;

import dev.moxie.format.error.UsageException;
import java.util.Arrays;

/** Cuts a stream of tokens into sequences. */
final class SequenceCutter {
  private final String name;
  private final int beginning;
  private final int overlap;
  private final long limit;
  private final long[] buffer;
  private final SequenceSink out;
  private int filled;
  private int known;
  private int sequences;
  private long tokens;
  private long taken;

  /**
   * A cutter.
   *
   * @param name of what is cut
   * @param beginning tokens that every sequence begins with
   * @param limit tokens to take at most, at least one
   * @throws UsageException if that leaves no room for others
   */
  SequenceCutter(String name, long[] beginning, Windows windows, long limit, SequenceSink out) {
    if (windows.most() <= beginning.length) {
      throw new UsageException(
          windows.option(),
          "room for a token after the " + beginning.length + " that begin a text",
          String.valueOf(windows.most()),
          "pass more");
    }
    this.name = name;
    this.beginning = beginning.length;
    this.overlap = windows.overlap(beginning.length);
    this.limit = limit;
    this.buffer = Arrays.copyOf(beginning, windows.most());
    this.out = out;
    this.filled = beginning.length;
    this.known = filled;
  }

  /** Takes tokens; returns whether there is use for more. */
  boolean add(long[] ids) {
    for (int i = 0; i < ids.length && taken < limit; i++) {
      if (filled == buffer.length) {
        send();
        System.arraycopy(buffer, filled - overlap, buffer, beginning, overlap);
        filled = beginning + overlap;
        known = filled;
      }
      buffer[filled++] = ids[i];
      taken++;
    }
    return taken < limit;
  }

  private void send() {
    out.accept(name, Arrays.copyOf(buffer, filled), known, taken - (filled - known));
    sequences++;
    tokens += filled;
  }

  /** Tokens so far, without those that begin sequences or are in two of them. */
  long taken() {
    return taken;
  }

  /**
   * Passes on what is left.
   *
   * @throws UsageException if there was nothing at all
   */
  Corpus.Source finish() {
    if (filled > known) {
      send();
    }
    if (sequences == 0) {
      throw new UsageException(name, "at least one token", "none", "pass something to run on");
    }
    return new Corpus.Source(name, sequences, tokens);
  }
}
