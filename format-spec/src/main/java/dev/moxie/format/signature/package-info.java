/** Signatures of whole folders, in the form of OpenSSF Model Signing. */
@NullMarked
package dev.moxie.format.signature;

import org.jspecify.annotations.NullMarked;
