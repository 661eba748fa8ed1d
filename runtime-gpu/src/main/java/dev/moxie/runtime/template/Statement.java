package dev.moxie.runtime.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** What is done. */
sealed interface Statement {
  /** A name that no template can write. */
  String BODY = "{body}";

  record Data(String text) implements Statement {}

  record Output(Expression value, int line) implements Statement {}

  /** Branches with their conditions, in order; the last may have none. */
  record If(List<Branch> branches) implements Statement {}

  record Branch(@Nullable Expression condition, List<Statement> body) {}

  record For(
      List<String> targets,
      Expression over,
      @Nullable Expression condition,
      List<Statement> body,
      List<Statement> otherwise)
      implements Statement {}

  /** Names, of which several take a value apart. */
  record Set(List<String> names, Expression value) implements Statement {}

  /** Of a namespace. */
  record SetAttribute(String namespace, String name, Expression value) implements Statement {}

  /** What a body writes; {@code value} reads that as {@link #BODY}. */
  record SetBlock(String name, Expression value, List<Statement> body) implements Statement {}

  record With(List<String> names, List<Expression> values, List<Statement> body)
      implements Statement {}

  record Macro(String name, List<Parameter> parameters, List<Statement> body)
      implements Statement {}

  record Parameter(String name, @Nullable Expression otherwise) {}

  /** A call whose {@code caller} is a body. */
  record CallBlock(Expression.Call call, List<Parameter> parameters, List<Statement> body)
      implements Statement {}

  record FilterBlock(Expression value, List<Statement> body) implements Statement {}

  /** What an assistant writes; it changes nothing of the text. */
  record Generation(List<Statement> body) implements Statement {}

  record Break() implements Statement {}

  record Continue() implements Statement {}
}
