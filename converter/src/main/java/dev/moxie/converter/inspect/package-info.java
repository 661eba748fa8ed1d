/** What a model is and costs, without reading its weights. */
@NullMarked
package dev.moxie.converter.inspect;

import org.jspecify.annotations.NullMarked;
