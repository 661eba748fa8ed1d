/** What to check, in one call. */
@NullMarked
package dev.moxie.verifier;

import org.jspecify.annotations.NullMarked;
