/** The forward pass on float32 arrays, over weights as they are stored. */
@NullMarked
package dev.moxie.runtime.plain;

import org.jspecify.annotations.NullMarked;
