/** How long verification takes, beside what it is compared with. */
@NullMarked
package dev.moxie.verifier.bench;

import org.jspecify.annotations.NullMarked;
