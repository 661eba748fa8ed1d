package dev.moxie.verifier.routing;

/** Takes the sequences that something was cut into. */
@FunctionalInterface
public interface SequenceSink {
  /**
   * Takes one.
   *
   * @param source what was cut, as messages name it
   * @param known tokens at its front that begin a text, or that the sequence before had
   * @param first place in the source of the first one after those, from 0
   */
  void accept(String source, long[] ids, int known, long first);
}
