/** The report as one page for a browser: a class per chart, and nothing to load from elsewhere. */
@NullMarked
package dev.moxie.verifier.report.html;

import org.jspecify.annotations.NullMarked;
