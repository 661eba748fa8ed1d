package dev.moxie.format.error;

import dev.moxie.format.text.Line;

/**
 * A failure that a user can act on. The message is one sentence: where, what was expected, what was
 * found, and what to do; whatever names it quotes, it is safe to print.
 */
public abstract sealed class MoxieException extends RuntimeException
    permits InvalidInputException, MismatchException, UsageException, EnvironmentException {
  private static final long serialVersionUID = 1L;

  MoxieException(String where, String expected, String found, String remedy) {
    super(
        "%s: expected %s, found %s; %s."
            .formatted(Line.of(where), Line.of(expected), Line.of(found), Line.of(remedy)));
  }
}
