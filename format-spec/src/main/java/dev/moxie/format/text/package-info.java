/** Lines for people, safe to print whatever names are in them. */
@NullMarked
package dev.moxie.format.text;

import org.jspecify.annotations.NullMarked;
