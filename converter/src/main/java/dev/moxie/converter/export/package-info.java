/** From a package back to a Hugging Face checkpoint. */
@NullMarked
package dev.moxie.converter.export;

import org.jspecify.annotations.NullMarked;
