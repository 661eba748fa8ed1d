/** From an architecture to ONNX graphs that name the package's shards as external data. */
@NullMarked
package dev.moxie.runtime.lowering;

import org.jspecify.annotations.NullMarked;
