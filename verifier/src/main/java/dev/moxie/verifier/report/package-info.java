/** What was found, as data and in every form that people and tools read. */
@NullMarked
package dev.moxie.verifier.report;

import org.jspecify.annotations.NullMarked;
