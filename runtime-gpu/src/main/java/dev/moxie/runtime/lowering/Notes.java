package dev.moxie.runtime.lowering;

/** Is told of the values of a graph that have a name, while a forward pass is read. */
@FunctionalInterface
interface Notes {
  /** Writes nothing down. */
  Notes NONE = (name, x) -> x;

  /** What the pass goes on with: x, unless the listener knows better. */
  Onnx.Value of(String name, Onnx.Value x);
}
