package dev.moxie.format;

import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.IntStream;

/** Which of very many cases a run of the tests tries: one of {@code -Dmoxie.share}, or all. */
public final class Some {
  /** Of how many cases one is tried. */
  public static final int SHARE = Math.max(1, Integer.getInteger("moxie.share", 1));

  private Some() {}

  /** Numbers below a count, drawn anew each time. */
  public static IntStream of(int count) {
    int first = ThreadLocalRandom.current().nextInt(SHARE);
    return IntStream.iterate(first, i -> i < count, i -> i + SHARE);
  }
}
