/** What a checkpoint's tokenizer.json must keep to, whoever reads it. */
@NullMarked
package dev.moxie.format.tokenizer;

import org.jspecify.annotations.NullMarked;
