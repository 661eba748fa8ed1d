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
  private long readBefore;
  private int tokens;
  private ExpertMemory.@Nullable Hits hits;

  /** The model is open and checked, and is given the prompt. */
  void opened() {
    opened = System.nanoTime();
    readBefore = StorageReads.bytes().orElse(0);
  }

  /** There is one more token. */
  void token(long id) {
    last = System.nanoTime();
    if (tokens++ == 0) {
      first = last;
    }
  }

  /** What experts tokens chose, where their memory has a limit. */
  void experts(ExpertMemory.Hits chosen) {
    hits = chosen;
  }

  @Override
  public String toString() {
    if (hits == null || tokens == 0) {
      return pace();
    }
    String experts =
        String.format("; %.0f %% of the experts' bytes were in memory", 100 * hits.share());
    OptionalLong read = StorageReads.bytes();
    return pace()
        + experts
        + (read.isEmpty()
            ? ""
            : String.format(
                ", %.3f MB read from storage per token",
                (read.getAsLong() - readBefore) / 1e6 / tokens));
  }

  private String pace() {
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
