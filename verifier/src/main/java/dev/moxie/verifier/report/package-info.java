/** What was found, as data, as text and as JSON. */
@NullMarked
package dev.moxie.verifier.report;

import org.jspecify.annotations.NullMarked;
