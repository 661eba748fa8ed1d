package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.view.View;
import org.jspecify.annotations.Nullable;

/**
 * Elements of a source tensor.
 *
 * @param view which, in which order; null if all as they lie
 */
public record Place(SourceTensor tensor, @Nullable View view) {
  /** All of a tensor. */
  public static Place of(SourceTensor tensor) {
    return new Place(tensor, null);
  }

  /** How many bytes they are. */
  public long bytes() {
    return view == null ? tensor.bytes() : view.elements() * tensor.dtype().bits() / Byte.SIZE;
  }

  /** How many there are. */
  public long elements() {
    return view == null ? tensor.shape().elements() : view.elements();
  }
}
