/** How well a model foresees a text, and how far two models' predictions are apart. */
@NullMarked
package dev.moxie.verifier.eval;

import org.jspecify.annotations.NullMarked;
