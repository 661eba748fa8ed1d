/** A strict reader and writer of safetensors files. */
@NullMarked
package dev.moxie.format.safetensors;

import org.jspecify.annotations.NullMarked;
