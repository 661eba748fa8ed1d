/** What differs between two models, each a package or a checkpoint. */
@NullMarked
package dev.moxie.verifier.diff;

import org.jspecify.annotations.NullMarked;
