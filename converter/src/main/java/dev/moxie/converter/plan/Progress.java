package dev.moxie.converter.plan;

/** Told how a long task gets on, from several threads. */
public interface Progress {
  /** For callers that do not care. */
  Progress NONE =
      new Progress() {
        @Override
        public void advance(long bytes) {}

        @Override
        public void finished(String line) {}
      };

  /** So many more bytes are done. */
  void advance(long bytes);

  /** A file is complete; the line says which, and how it came to be. */
  void finished(String line);
}
