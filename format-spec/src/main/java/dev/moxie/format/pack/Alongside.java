package dev.moxie.format.pack;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;

/** Two pieces of work at the same time. */
final class Alongside {
  private Alongside() {}

  /**
   * Returns what {@code main} does once {@code aside} has passed too. If both fail, the failure of
   * {@code aside} is the one that is thrown: it is the more basic check.
   */
  static <T> T check(Runnable aside, Supplier<T> main) {
    var check = CompletableFuture.runAsync(aside);
    T result;
    try {
      result = main.get();
    } catch (RuntimeException e) {
      join(check);
      throw e;
    }
    join(check);
    return result;
  }

  private static void join(CompletableFuture<Void> check) {
    try {
      check.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof RuntimeException cause ? cause : e;
    }
  }
}
