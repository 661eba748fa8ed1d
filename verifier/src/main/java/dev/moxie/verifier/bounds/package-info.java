/** What two right implementations may differ by, in numbers and in choices. */
@NullMarked
package dev.moxie.verifier.bounds;

import org.jspecify.annotations.NullMarked;
