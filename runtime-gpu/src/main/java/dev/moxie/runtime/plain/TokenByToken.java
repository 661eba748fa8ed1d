package dev.moxie.runtime.plain;

/**
 * An operation that no two tokens have in common.
 *
 * @param work of a token, as so many multiplications
 * @param token computes it for one
 */
record TokenByToken(Pass pass, long work, Token token) implements Instruction, Team.Task {
  /** What is computed for one. */
  @FunctionalInterface
  interface Token {
    void compute(int token, Scratch scratch);
  }

  @Override
  public void run() {
    pass.team().each(pass.tokens(), work, this);
  }

  @Override
  public void turn(int turn, Scratch scratch) {
    token.compute(turn, scratch);
  }
}
