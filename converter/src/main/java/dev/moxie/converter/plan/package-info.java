/** Plans, known in full before the first write, and their execution. */
@NullMarked
package dev.moxie.converter.plan;

import org.jspecify.annotations.NullMarked;
