/**
 * ONNX Runtime through its C API: sessions whose inputs and outputs are bound to memory of ours, on
 * the host or on a card. What the library refuses is an error of ours, and what it hands out is
 * closed.
 */
@NullMarked
package dev.moxie.runtime.ort;

import org.jspecify.annotations.NullMarked;
