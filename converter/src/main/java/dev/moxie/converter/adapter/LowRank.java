package dev.moxie.converter.adapter;

import dev.moxie.converter.checkpoint.SourceTensor;
import java.nio.file.Path;

/**
 * What an adapter adds to a matrix: to the element in row i and column j {@code scale} · Σ left_in
 * right_nj over n from 0 on.
 *
 * @param folder that the factors' files are in
 * @param rank how many terms there are
 */
public record LowRank(Path folder, Factor left, Factor right, int rank, double scale) {
  /**
   * Elements of a tensor as a matrix.
   *
   * @param offset of the first element
   * @param rowStride from a row to the next
   * @param columnStride from a column to the next
   */
  public record Factor(SourceTensor tensor, long offset, long rowStride, long columnStride) {
    /** Where an element is in the tensor. */
    public long place(long row, long column) {
      return offset + row * rowStride + column * columnStride;
    }
  }
}
