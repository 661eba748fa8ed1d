/** What OpenAI's clients speak, over HTTP. */
@NullMarked
package dev.moxie.runtime.http;

import org.jspecify.annotations.NullMarked;
