package dev.moxie.cli;

import dev.moxie.runtime.execution.StorageReads;
import dev.moxie.runtime.plain.ExpertMemory;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** How long a text was waited for, and how fast it came. */
final class Pace {
  private final long start = System.nanoTime();
  private long opened;
  private long first;
  private long last;
  private int tokens;
  private String speculation = "";
  private @Nullable ExpertMemory experts;

  /** At the first token and at the last: what the prompt took is in both. */
  private @Nullable Account atFirst;

  private @Nullable Account atLast;

  private record Account(ExpertMemory.Hits hits, OptionalLong read) {}

  /**
   * The model is open and checked, and is given the prompt.
   *
   * @param memory of its experts, where that has a limit
   */
  void opened(@Nullable ExpertMemory memory) {
    experts = memory;
    opened = System.nanoTime();
  }

  /** There is one more token. */
  void token(long id) {
    last = System.nanoTime();
    atLast = experts == null ? null : new Account(experts.hits(), StorageReads.bytes());
    if (tokens++ == 0) {
      first = last;
      atFirst = atLast;
    }
  }

  /** So many tokens were guessed, and so many of those chosen. */
  void speculated(int right, int guesses) {
    speculation = String.format("; %d of %d guesses right", right, guesses);
  }

  @Override
  public String toString() {
    if (atFirst == null || atLast == null || tokens < 2) {
      return pace();
    }
    double share = atLast.hits().since(atFirst.hits()).share();
    String memory = String.format("; %.0f %% of the experts' bytes were in memory", 100 * share);
    if (atFirst.read().isEmpty() || atLast.read().isEmpty()) {
      return pace() + memory;
    }
    long read = atLast.read().getAsLong() - atFirst.read().getAsLong();
    return pace()
        + memory
        + String.format(", %.3f MB read from storage per token", read / 1e6 / (tokens - 1));
  }

  private String pace() {
    String open = String.format("open after %.2f s", (opened - start) / 1e9);
    if (tokens == 0) {
      return open + ", no token";
    }
    String one = String.format("%s, first token %.2f s later", open, (first - opened) / 1e9);
    return tokens == 1
        ? one
        : String.format(
            "%s, then %.1f tokens/s%s", one, (tokens - 1) * 1e9 / (last - first), speculation);
  }
}
