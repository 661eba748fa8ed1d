/**
 * Which elements of another tensor a tensor consists of, and how they get from one to the other.
 */
@NullMarked
package dev.moxie.format.view;

import org.jspecify.annotations.NullMarked;
