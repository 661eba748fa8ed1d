/** Graphics cards of NVIDIA through their driver's own library, which is all that it takes. */
@NullMarked
package dev.moxie.runtime.cuda;

import org.jspecify.annotations.NullMarked;
