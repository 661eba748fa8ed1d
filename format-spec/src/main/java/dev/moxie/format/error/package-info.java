/** What can go wrong, one type per kind of answer the user needs. */
@NullMarked
package dev.moxie.format.error;

import org.jspecify.annotations.NullMarked;
