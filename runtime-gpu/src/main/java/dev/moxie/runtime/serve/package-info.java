/** Many texts at once on one model: what waits, what steps together, what is kept of beginnings. */
@NullMarked
package dev.moxie.runtime.serve;

import org.jspecify.annotations.NullMarked;
