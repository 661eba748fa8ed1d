package dev.moxie.verifier.oracle;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Results of operations by what went into them: the same matrix, not an equal one. One pass writes
 * them down; others, which share much with it, look them up.
 */
final class Memory {
  private final Map<List<@Nullable Object>, Estimate> results;
  private final boolean writes;

  private Memory(Map<List<@Nullable Object>, Estimate> results, boolean writes) {
    this.results = results;
    this.writes = writes;
  }

  /** An empty one, which is written to. */
  static Memory empty() {
    return new Memory(new HashMap<>(), true);
  }

  /** The same results, and no more. */
  Memory forReading() {
    return new Memory(results, false);
  }

  /** What an operation gave, or else what it gives. */
  Estimate get(Supplier<Estimate> operation, @Nullable Object... inputs) {
    return get(writes, operation, inputs);
  }

  /** What was read before, or else what is read, which is written down whoever asks. */
  Estimate record(Supplier<Estimate> reading, Object... name) {
    return get(true, reading, name);
  }

  private Estimate get(boolean keep, Supplier<Estimate> operation, @Nullable Object... inputs) {
    List<@Nullable Object> key = Arrays.asList(inputs);
    Estimate known = results.get(key);
    if (known == null) {
      known = operation.get();
      if (keep) {
        results.put(key, known);
      }
    }
    return known;
  }
}
