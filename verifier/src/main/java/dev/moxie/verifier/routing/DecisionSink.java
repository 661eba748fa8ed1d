package dev.moxie.verifier.routing;

import java.util.List;

/** Takes all decisions of a run, part by part. */
public interface DecisionSink extends AutoCloseable {
  /** Takes them, and does nothing. */
  DecisionSink NONE = new DecisionSink() {};

  /**
   * Takes the decisions of some tokens.
   *
   * @param sequence from 0, growing
   * @param ids all tokens of that sequence
   * @param decisions of tokens that follow those before, by token and then by layer, every layer
   *     with experts
   */
  default void accept(int sequence, long[] ids, List<Decision> decisions) {}

  /** Ends the run well. */
  default void finish() {}

  /** Lets go; what was not finished leaves nothing. */
  @Override
  default void close() {}
}
