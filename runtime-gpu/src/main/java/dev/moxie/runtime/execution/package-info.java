/** Running the graphs on ONNX Runtime: devices, the scheduled and the fused execution. */
@NullMarked
package dev.moxie.runtime.execution;

import org.jspecify.annotations.NullMarked;
