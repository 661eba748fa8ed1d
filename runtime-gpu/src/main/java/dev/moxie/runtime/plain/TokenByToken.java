package dev.moxie.runtime.plain;

import java.util.function.IntConsumer;

/**
 * An operation that no two tokens have in common.
 *
 * @param work of a token, as so many multiplications
 * @param token computes it for one
 */
record TokenByToken(Pass pass, long work, IntConsumer token) implements Instruction, Team.Task {
  @Override
  public void run() {
    pass.team().each(pass.tokens(), work, this);
  }

  @Override
  public void turn(int turn, Scratch scratch) {
    token.accept(turn);
  }
}
