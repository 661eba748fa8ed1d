/**
 * Where an error starts, and what it looks like: the oracle takes the place of each step of the
 * reference, and known defects are supposed one at a time.
 */
@NullMarked
package dev.moxie.verifier.diagnosis;

import org.jspecify.annotations.NullMarked;
