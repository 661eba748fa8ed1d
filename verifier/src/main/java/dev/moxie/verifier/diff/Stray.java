package dev.moxie.verifier.diff;

/** A leaf whose counterpart has other values, or that has none. */
record Stray(Leaf leaf, Tally.Fingerprint fingerprint) {}
