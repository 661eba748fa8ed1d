/** Decoding with kernels of our own: the forward pass as a short list of launches. */
@NullMarked
package dev.moxie.runtime.kernels;

import org.jspecify.annotations.NullMarked;
