/** How numbers are stored: whoever knows one of the encodings is in this package. */
@NullMarked
package dev.moxie.format.encoding;

import org.jspecify.annotations.NullMarked;
