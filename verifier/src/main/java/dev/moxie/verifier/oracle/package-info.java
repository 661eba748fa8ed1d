/**
 * A plain forward pass in double precision that carries along how far a right answer may be off.
 */
@NullMarked
package dev.moxie.verifier.oracle;

import org.jspecify.annotations.NullMarked;
