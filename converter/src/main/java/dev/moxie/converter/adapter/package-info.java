/** Adapters of low rank, as peft saves them: what they add to which matrices. */
@NullMarked
package dev.moxie.converter.adapter;

import org.jspecify.annotations.NullMarked;
