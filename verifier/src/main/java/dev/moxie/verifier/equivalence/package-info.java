/** Level 2: is every source tensor there, bit for bit, in its place. */
@NullMarked
package dev.moxie.verifier.equivalence;

import org.jspecify.annotations.NullMarked;
