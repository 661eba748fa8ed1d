package dev.moxie.runtime.template;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What has a value. */
sealed interface Expression {
  /** None is null. */
  record Constant(@Nullable Object value) implements Expression {}

  record Name(String name) implements Expression {}

  record ListOf(List<Expression> items, boolean tuple) implements Expression {}

  record DictOf(List<Expression> keys, List<Expression> values) implements Expression {}

  /** {@code of.name} */
  record Attribute(Expression of, String name) implements Expression {}

  /** {@code of[key]} */
  record Item(Expression of, Expression key) implements Expression {}

  record Slice(
      Expression of,
      @Nullable Expression start,
      @Nullable Expression stop,
      @Nullable Expression step)
      implements Expression {}

  record Call(Expression of, Arguments arguments) implements Expression {}

  record Filter(Expression of, String name, Arguments arguments) implements Expression {}

  record Test(Expression of, String name, Arguments arguments) implements Expression {}

  /** A sign or {@code not}. */
  record Unary(String operator, Expression of) implements Expression {}

  record Binary(String operator, Expression left, Expression right) implements Expression {}

  /** {@code a < b <= c}: each beside its neighbours. */
  record Compare(Expression first, List<String> operators, List<Expression> others)
      implements Expression {}

  /** {@code then if condition else otherwise} */
  record Choice(Expression condition, Expression then, @Nullable Expression otherwise)
      implements Expression {}

  /** What is passed to something. */
  record Arguments(List<Expression> positional, Map<String, Expression> named) {
    static final Arguments NONE = new Arguments(List.of(), Map.of());
  }
}
