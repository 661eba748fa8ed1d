package dev.moxie.verifier.routing;

import org.jspecify.annotations.Nullable;

/**
 * What one router did with one token.
 *
 * @param token its position in the sequence
 * @param experts ids of the checkpoint, best first, [k]
 * @param weights what multiplies their outputs, in the same order, [k]
 * @param margin gap between the last chosen and the first rejected value, of experts or, where that
 *     is smaller, of groups; null where nothing is rejected
 * @param agreement null without a reference
 * @param reference the reference's experts, in its order, [k]; null without one
 */
@SuppressWarnings("ArrayRecordComponent") // Goes into a file, is never compared.
public record Decision(
    int token,
    int layer,
    int[] experts,
    float[] weights,
    @Nullable Double margin,
    @Nullable Agreement agreement,
    int @Nullable [] reference) {}
