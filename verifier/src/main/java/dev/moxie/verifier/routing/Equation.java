package dev.moxie.verifier.routing;

/**
 * The formula of a number in a routing report.
 *
 * @param name of what it gives
 * @param symbols T tokens, E experts, k per token, n_e tokens that chose expert e
 * @param source who states it, and how this differs
 */
public record Equation(String name, String symbols, String source) {}
