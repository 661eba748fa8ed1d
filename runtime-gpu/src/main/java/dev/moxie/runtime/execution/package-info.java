/** Running packages: the plain execution in Java, the fused one on ONNX Runtime, devices. */
@NullMarked
package dev.moxie.runtime.execution;

import org.jspecify.annotations.NullMarked;
