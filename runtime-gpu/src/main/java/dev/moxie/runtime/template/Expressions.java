package dev.moxie.runtime.template;

import dev.moxie.runtime.template.Expression.Arguments;
import dev.moxie.runtime.template.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Reads expressions, from what binds least to what binds most (jinja2 {@code parser.py}). */
final class Expressions {
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
  private static final Set<String> AFTER_TEST = Set.of("else", "or", "and");

  private final Parser parser;

  Expressions(Parser parser) {
    this.parser = parser;
  }

  /** One or, with commas, a tuple of several. */
  Expression tuple() {
    Expression first = whole();
    if (!parser.peek().isOperator(",")) {
      return first;
    }
    List<Expression> items = new ArrayList<>(List.of(first));
    while (parser.skipOperator(",") && begins()) {
      items.add(whole());
    }
    return new Expression.ListOf(items, true);
  }

  private boolean begins() {
    Token next = parser.peek();
    return switch (next.kind()) {
      case END_VALUE, END_STATEMENT, END -> false;
      case OPERATOR -> !Set.of(")", "]", "}", "=").contains(next.text());
      default -> true;
    };
  }

  Expression whole() {
    parser.enter();
    Expression value = or();
    while (parser.skipName("if")) {
      Expression condition = or();
      Expression otherwise = parser.skipName("else") ? whole() : null;
      value = new Expression.Choice(condition, value, otherwise);
    }
    parser.leave();
    return value;
  }

  /** What a loop goes over: an {@code if} after it is the loop's. */
  Expression withoutChoice() {
    Expression first = or();
    if (!parser.peek().isOperator(",")) {
      return first;
    }
    List<Expression> items = new ArrayList<>(List.of(first));
    while (parser.skipOperator(",") && begins()) {
      items.add(or());
    }
    return new Expression.ListOf(items, true);
  }

  private Expression or() {
    Expression left = and();
    while (parser.skipName("or")) {
      left = new Expression.Binary("or", left, and());
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    while (parser.skipName("and")) {
      left = new Expression.Binary("and", left, not());
    }
    return left;
  }

  private Expression not() {
    if (parser.peek().isName("not") && !parser.peekSecond().isName("in")) {
      parser.next();
      parser.enter();
      Expression of = not();
      parser.leave();
      return new Expression.Unary("not", of);
    }
    return comparison();
  }

  private Expression comparison() {
    Expression first = sum();
    List<String> operators = new ArrayList<>();
    List<Expression> others = new ArrayList<>();
    while (true) {
      Token next = parser.peek();
      if (next.kind() == Kind.OPERATOR && COMPARISONS.contains(next.text())) {
        operators.add(parser.next().text());
      } else if (parser.skipName("in")) {
        operators.add("in");
      } else if (next.isName("not") && parser.peekSecond().isName("in")) {
        parser.next();
        parser.next();
        operators.add("not in");
      } else {
        break;
      }
      others.add(sum());
    }
    return operators.isEmpty() ? first : new Expression.Compare(first, operators, others);
  }

  private Expression sum() {
    Expression left = joined();
    while (parser.peek().isOperator("+") || parser.peek().isOperator("-")) {
      left = new Expression.Binary(parser.next().text(), left, joined());
    }
    return left;
  }

  private Expression joined() {
    Expression left = product();
    while (parser.skipOperator("~")) {
      left = new Expression.Binary("~", left, product());
    }
    return left;
  }

  private Expression product() {
    Expression left = power();
    while (Set.of("*", "/", "//", "%").contains(parser.peek().text())
        && parser.peek().kind() == Kind.OPERATOR) {
      left = new Expression.Binary(parser.next().text(), left, power());
    }
    return left;
  }

  private Expression power() {
    Expression left = signed(true);
    while (parser.skipOperator("**")) {
      left = new Expression.Binary("**", left, signed(true));
    }
    return left;
  }

  private Expression signed(boolean filtered) {
    parser.enter();
    Expression value;
    if (parser.peek().isOperator("-") || parser.peek().isOperator("+")) {
      value = new Expression.Unary(parser.next().text(), signed(false));
    } else {
      value = after(primary());
    }
    parser.leave();
    return filtered ? filters(value, false) : value;
  }

  private Expression primary() {
    Token token = parser.peek();
    return switch (token.kind()) {
      case NAME -> {
        parser.requireKnown(token.text());
        yield named(parser.next().text());
      }
      case STRING -> {
        var text = new StringBuilder();
        while (parser.peek().kind() == Kind.STRING) {
          text.append(parser.next().text());
        }
        yield new Expression.Constant(text.toString());
      }
      case INTEGER -> {
        if (token.text().length() > 18) {
          throw parser.unsupported("a whole number below 10^18", token.text());
        }
        yield new Expression.Constant(Long.parseLong(parser.next().text()));
      }
      case FLOAT -> new Expression.Constant(Double.parseDouble(parser.next().text()));
      default -> inBrackets();
    };
  }

  private static Expression named(String name) {
    return switch (name) {
      case "true", "True" -> new Expression.Constant(true);
      case "false", "False" -> new Expression.Constant(false);
      case "none", "None" -> new Expression.Constant(null);
      default -> new Expression.Name(name);
    };
  }

  private Expression inBrackets() {
    if (parser.skipOperator("(")) {
      return bracketed();
    }
    if (parser.skipOperator("[")) {
      return new Expression.ListOf(items("]"), false);
    }
    if (parser.skipOperator("{")) {
      return dict();
    }
    throw parser.wrong("an expression");
  }

  private Expression bracketed() {
    if (parser.skipOperator(")")) {
      return new Expression.ListOf(List.of(), true);
    }
    Expression value = tuple();
    parser.operator(")");
    return value;
  }

  private List<Expression> items(String end) {
    List<Expression> items = new ArrayList<>();
    while (!parser.skipOperator(end)) {
      if (!items.isEmpty()) {
        parser.operator(",");
        if (parser.skipOperator(end)) {
          break;
        }
      }
      items.add(whole());
    }
    return items;
  }

  private Expression dict() {
    List<Expression> keys = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (!parser.skipOperator("}")) {
      if (!keys.isEmpty()) {
        parser.operator(",");
        if (parser.skipOperator("}")) {
          break;
        }
      }
      keys.add(whole());
      parser.operator(":");
      values.add(whole());
    }
    return new Expression.DictOf(keys, values);
  }

  /** Attributes, items and calls of a value. */
  private Expression after(Expression value) {
    while (true) {
      if (parser.skipOperator(".")) {
        Token token = parser.peek();
        if (token.kind() == Kind.INTEGER) {
          parser.next();
          value = new Expression.Item(value, new Expression.Constant(Long.parseLong(token.text())));
        } else {
          value = new Expression.Attribute(value, parser.name());
        }
      } else if (parser.skipOperator("[")) {
        value = item(value);
      } else if (parser.skipOperator("(")) {
        requireFunction(value);
        value = new Expression.Call(value, arguments());
      } else {
        return value;
      }
    }
  }

  private void requireFunction(Expression called) {
    if (called instanceof Expression.Name function) {
      parser.called(function.name());
    } else if (called instanceof Expression.Attribute method
        && !Methods.NAMES.contains(method.name())) {
      throw parser.unsupported("a method among " + Methods.NAMES, method.name());
    }
  }

  private Expression item(Expression of) {
    Expression start = parser.peek().isOperator(":") ? null : whole();
    if (!parser.peek().isOperator(":")) {
      if (parser.peek().isOperator(",")) {
        throw parser.unsupported("one index", "several");
      }
      parser.operator("]");
      return new Expression.Item(of, start == null ? new Expression.Constant(null) : start);
    }
    parser.operator(":");
    Expression stop = sliceEnd();
    Expression step = parser.skipOperator(":") ? sliceEnd() : null;
    parser.operator("]");
    return new Expression.Slice(of, start, stop, step);
  }

  private @Nullable Expression sliceEnd() {
    boolean none = parser.peek().isOperator(":") || parser.peek().isOperator("]");
    return none ? null : whole();
  }

  /** What is passed to a call, whose bracket has been opened. */
  private Arguments arguments() {
    List<Expression> positional = new ArrayList<>();
    Map<String, Expression> named = new LinkedHashMap<>();
    boolean first = true;
    while (!parser.skipOperator(")")) {
      if (!first) {
        parser.operator(",");
        if (parser.skipOperator(")")) {
          break;
        }
      }
      first = false;
      if (parser.peek().isOperator("*") || parser.peek().isOperator("**")) {
        throw parser.unsupported("arguments one by one", parser.peek().text());
      }
      if (parser.peek().kind() == Kind.NAME && parser.peekSecond().isOperator("=")) {
        String name = parser.name();
        parser.next();
        if (named.put(name, whole()) != null) {
          throw parser.wrong("one argument " + name);
        }
      } else if (named.isEmpty()) {
        positional.add(whole());
      } else {
        throw parser.wrong("a named argument after a named one");
      }
    }
    return new Arguments(positional, named);
  }

  /**
   * Filters and tests of a value, and what follows them.
   *
   * @param begun whether the first filter has no sign before it
   */
  Expression filters(Expression value, boolean begun) {
    boolean first = begun;
    while (true) {
      if (first || parser.skipOperator("|")) {
        first = false;
        String name = parser.name();
        Arguments arguments = parser.skipOperator("(") ? arguments() : Arguments.NONE;
        if (!Filters.ALL.containsKey(name)) {
          throw parser.unsupported(
              "a filter among " + Filters.ALL.keySet().stream().sorted().toList(), name);
        }
        value = new Expression.Filter(value, name, arguments);
      } else if (parser.skipName("is")) {
        value = test(value);
      } else if (parser.peek().isOperator("(") && !(value instanceof Expression.Name)) {
        parser.next();
        value = new Expression.Call(value, arguments());
      } else {
        return value;
      }
    }
  }

  private Expression test(Expression value) {
    boolean negated = parser.skipName("not");
    String name = parser.name();
    if (!Tests.ALL.containsKey(name)) {
      throw parser.unsupported(
          "a test among " + Tests.ALL.keySet().stream().sorted().toList(), name);
    }
    Token next = parser.peek();
    Arguments arguments = Arguments.NONE;
    if (next.isName("is")) {
      throw parser.wrong("one test");
    }
    if (parser.skipOperator("(")) {
      arguments = arguments();
    } else if (argument(next)) {
      arguments = new Arguments(List.of(after(primary())), Map.of());
    }
    Expression test = new Expression.Test(value, name, arguments);
    return negated ? new Expression.Unary("not", test) : test;
  }

  private static boolean argument(Token next) {
    return switch (next.kind()) {
      case NAME -> !AFTER_TEST.contains(next.text());
      case STRING, INTEGER, FLOAT -> true;
      case OPERATOR -> next.text().equals("[") || next.text().equals("{");
      default -> false;
    };
  }
}
