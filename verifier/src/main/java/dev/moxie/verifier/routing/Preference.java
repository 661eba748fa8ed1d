package dev.moxie.verifier.routing;

/**
 * An expert that one text uses more, or less, than the others do.
 *
 * @param share of the text's tokens that chose it
 * @param elsewhere the same of all other texts together
 */
public record Preference(int expert, double share, double elsewhere) {}
