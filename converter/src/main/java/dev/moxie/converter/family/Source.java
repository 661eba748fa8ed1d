package dev.moxie.converter.family;

import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.view.View;
import org.jspecify.annotations.Nullable;

/**
 * Where in a checkpoint a leaf lies.
 *
 * @param shape that the tensor must have
 * @param view what of it is the leaf; null if it is all of it, as it lies and in its shape
 */
public record Source(String tensor, Shape shape, @Nullable View view) {
  static Source of(String tensor, Shape shape, View view, Shape leaf) {
    boolean whole = view.isAllOf(shape.elements()) && shape.equals(leaf);
    return new Source(tensor, shape, whole ? null : view);
  }
}
