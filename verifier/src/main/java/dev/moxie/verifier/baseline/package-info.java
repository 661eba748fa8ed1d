/** Small recorded files that a package's numbers are held to, with this runtime as reference. */
@NullMarked
package dev.moxie.verifier.baseline;

import org.jspecify.annotations.NullMarked;
