package dev.moxie.runtime.plain;

/**
 * An activation of a program, [T, columns].
 *
 * @param place where a run has it
 */
public record Value(int place, int columns) {
  /** Numbers from one token's to the next one's; those beyond the columns are zero. */
  int apart() {
    return Lanes.padded(columns);
  }
}
