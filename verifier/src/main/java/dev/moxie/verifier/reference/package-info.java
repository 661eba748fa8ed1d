/** Level 3: does the runtime compute what another implementation computed. */
@NullMarked
package dev.moxie.verifier.reference;

import org.jspecify.annotations.NullMarked;
