/** From text to tokens to text: tokenizer, sampling, stopping. */
@NullMarked
package dev.moxie.runtime.generation;

import org.jspecify.annotations.NullMarked;
