/** Recorded activations and routing of a forward pass. */
@NullMarked
package dev.moxie.format.trace;

import org.jspecify.annotations.NullMarked;
