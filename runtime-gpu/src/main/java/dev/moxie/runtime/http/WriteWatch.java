package dev.moxie.runtime.http;

import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Ends writes to clients that do not read: the JDK's server waits for them for ever, and lets go
 * only of a thread that is interrupted.
 */
final class WriteWatch implements AutoCloseable {
  private final long most;
  private final Map<Thread, Long> since = new ConcurrentHashMap<>();
  private final Thread thread;

  WriteWatch(Duration most) {
    this.most = most.toNanos();
    thread = Thread.ofVirtual().name("moxie-write-watch").start(this::watch);
  }

  /** A write to a client. */
  @FunctionalInterface
  interface Write {
    void run() throws IOException;
  }

  void during(Write write) throws IOException {
    Thread own = Thread.currentThread();
    since.put(own, System.nanoTime());
    try {
      write.run();
    } finally {
      since.remove(own);
    }
  }

  private void watch() {
    try {
      while (true) {
        Thread.sleep(Duration.ofMillis(500));
        long now = System.nanoTime();
        since.forEach(
            (writer, start) -> {
              if (now - start > most) {
                writer.interrupt();
              }
            });
      }
    } catch (InterruptedException e) {
      // Closed.
    }
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
