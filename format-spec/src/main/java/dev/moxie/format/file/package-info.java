/** Writing files and folders so that they are either complete or not there. */
@NullMarked
package dev.moxie.format.file;

import org.jspecify.annotations.NullMarked;
