/** Arrays in pickles, found where they lie; nothing of a pickle is ever executed. */
@NullMarked
package dev.moxie.format.pickle;

import org.jspecify.annotations.NullMarked;
