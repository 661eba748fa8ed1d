/** Reading and writing packages: manifest, tensor index, shards. */
@NullMarked
package dev.moxie.format.pack;

import org.jspecify.annotations.NullMarked;
