package dev.moxie.format.pack;

import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * One column of an Arrow table.
 *
 * @param <R> the table's rows
 * @param value what a row puts there, as {@link ArrowType} says; null only where {@code nullable}
 */
public record ArrowColumn<R>(
    String name, ArrowType type, boolean nullable, Function<R, @Nullable Object> value) {}
