/** Measuring conversion beside what users compare it with. */
@NullMarked
package dev.moxie.converter.bench;

import org.jspecify.annotations.NullMarked;
