/** Level 1: are these the bytes that were written. */
@NullMarked
package dev.moxie.verifier.integrity;

import org.jspecify.annotations.NullMarked;
