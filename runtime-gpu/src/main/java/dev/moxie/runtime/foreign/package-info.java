/** Calling machine code. */
@NullMarked
package dev.moxie.runtime.foreign;

import org.jspecify.annotations.NullMarked;
