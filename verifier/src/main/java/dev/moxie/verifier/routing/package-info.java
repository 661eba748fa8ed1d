/** What routers did: decisions, and how evenly they spread tokens over experts. */
@NullMarked
package dev.moxie.verifier.routing;

import org.jspecify.annotations.NullMarked;
