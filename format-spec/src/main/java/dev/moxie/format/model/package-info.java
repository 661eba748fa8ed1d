/**
 * The family-neutral description of a forward pass: architecture, routing equation, canonical
 * tensors.
 */
@NullMarked
package dev.moxie.format.model;

import org.jspecify.annotations.NullMarked;
