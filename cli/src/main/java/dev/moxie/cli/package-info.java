/** The {@code moxie} command: one class per verb, which parses, calls and prints. */
@NullMarked
package dev.moxie.cli;

import org.jspecify.annotations.NullMarked;
