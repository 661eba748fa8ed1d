package dev.moxie.verifier.reference;

/** Is told how far a check of a reference has come: it may take minutes, at real width hours. */
public interface Progress {
  /** Tells nobody. */
  Progress NONE =
      new Progress() {
        @Override
        public void begin(int parts) {}

        @Override
        public void done(String part) {}
      };

  /**
   * A reference comes next.
   *
   * @param parts of work, about as large as each other
   */
  void begin(int parts);

  /** One of the parts is done, as "layer 3 alone". */
  void done(String part);
}
