package dev.moxie.converter.plan;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Independent pieces of work, some at a time. */
public final class Tasks {
  /** A piece of work. */
  @FunctionalInterface
  public interface Task {
    void run() throws IOException;
  }

  private Tasks() {}

  /** Runs all tasks; the first failure stops the others and is thrown. */
  public static void run(List<Task> tasks, int threads) {
    try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
      var completion = new ExecutorCompletionService<Void>(pool);
      for (Task task : tasks) {
        completion.submit(
            () -> {
              task.run();
              return null;
            });
      }
      try {
        for (int i = 0; i < tasks.size(); i++) {
          completion.take().get();
        }
      } catch (ExecutionException e) {
        pool.shutdownNow();
        switch (e.getCause()) {
          case RuntimeException cause -> throw cause;
          case IOException cause -> throw new UncheckedIOException(cause);
          case Error cause -> throw cause;
          case null, default -> throw new IllegalStateException(e);
        }
      } catch (InterruptedException e) {
        pool.shutdownNow();
        Thread.currentThread().interrupt();
        throw new IllegalStateException("interrupted at work", e);
      }
    }
  }
}
