package dev.moxie.verifier.report;

/**
 * How far a model's predictions are from another's, over tokens at which both predict the next one.
 *
 * @param tokens how many
 * @param mean D(P ‖ Q) in nats, P being the other's prediction
 * @param median the least that half of the tokens do not exceed
 * @param p99 the least that 99 of 100 do not exceed
 * @param worst the largest
 * @param worstAt the token, counted from 0, that has it; the first of several
 * @param agreement part of the tokens at which both find the same token likeliest
 */
public record Divergence(
    long tokens,
    double mean,
    double median,
    double p99,
    double worst,
    long worstAt,
    double agreement) {}
