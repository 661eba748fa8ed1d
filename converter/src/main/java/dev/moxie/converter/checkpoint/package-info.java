/** Reading Hugging Face checkpoints: config.json, index, weight files. */
@NullMarked
package dev.moxie.converter.checkpoint;

import org.jspecify.annotations.NullMarked;
