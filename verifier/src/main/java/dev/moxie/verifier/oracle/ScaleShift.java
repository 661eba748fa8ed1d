package dev.moxie.verifier.oracle;

/**
 * A displacement of the grid of block scales: each block takes the scale of the block so many rows
 * above and columns to the left, all cyclically, after all were moved on by so many in reading
 * order.
 *
 * @param dropped whether the scales are left out altogether
 */
public record ScaleShift(int rows, int columns, int inOrder, boolean dropped) {
  public static final ScaleShift NONE = new ScaleShift(0, 0, 0, false);
  public static final ScaleShift DROPPED = new ScaleShift(0, 0, 0, true);
}
