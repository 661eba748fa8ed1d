/** Strict JSON: no duplicate keys, no coercion, bounded size. */
@NullMarked
package dev.moxie.format.json;

import org.jspecify.annotations.NullMarked;
