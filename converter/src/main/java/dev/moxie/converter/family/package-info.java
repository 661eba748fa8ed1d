/** Checkpoint families, as declarations: how config.json and tensor names translate. */
@NullMarked
package dev.moxie.converter.family;

import org.jspecify.annotations.NullMarked;
