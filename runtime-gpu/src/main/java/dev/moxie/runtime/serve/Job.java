package dev.moxie.runtime.serve;

import dev.moxie.format.error.MoxieException;
import dev.moxie.runtime.execution.Routes;
import dev.moxie.runtime.generation.Sampler;
import java.util.List;
import java.util.Set;

/**
 * A text to continue.
 *
 * @param prompt at least one token of the model
 * @param limit new tokens at most, at least one; prompt and they have positions
 * @param sampler how they are chosen
 * @param end tokens that end the text
 * @param alternatives how many of the likeliest tokens are told with each; -1 for no probabilities
 * @param routed what is told of the experts of tokens
 * @param listener is told of what becomes of it
 */
@SuppressWarnings("ArrayRecordComponent") // A request's own, never compared.
public record Job(
    long[] prompt,
    int limit,
    Sampler sampler,
    Set<Long> end,
    int alternatives,
    Routed routed,
    Listener listener) {

  /** What is told of the experts of tokens. */
  public enum Routed {
    NOTHING,
    /** Those of all tokens that pass; beginnings are computed again for that. */
    EXPERTS,
    /** Those of the answer's tokens, with weights and margins. */
    DECISIONS
  }

  /**
   * A token and its probability.
   *
   * @param logarithm natural, of the model's own probability, before any sampling parameter; 0
   *     where none was asked for
   */
  public record Likelihood(long id, float logarithm) {}

  /**
   * A token that was chosen.
   *
   * @param alternatives the likeliest tokens, the likeliest first
   * @param routes of the tokens that passed since the one before it was chosen, at first of the
   *     whole prompt or, where decisions are told, of none; empty where nobody asked
   */
  public record Chosen(Likelihood token, List<Likelihood> alternatives, Routes routes) {}

  /** Why a text ended. */
  public enum End {
    /** With an end token, which is not told. */
    STOP,
    /** With as many tokens as it may have. */
    LENGTH,
    /** Whoever asked for it no longer wants it, or the scheduler closed. */
    CANCELLED
  }

  /** Is told on the scheduler's thread, which it must not hold up. */
  public interface Listener {
    /**
     * The prompt is about to be computed.
     *
     * @param reused tokens of it that were computed for another text before
     */
    void begun(int reused);

    /** One more token. */
    void token(Chosen chosen);

    /** The last call, unless there was a failure. */
    void ended(End end);

    /** The last call. */
    void failed(MoxieException failure);
  }
}
