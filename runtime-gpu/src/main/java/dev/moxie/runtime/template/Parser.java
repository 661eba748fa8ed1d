package dev.moxie.runtime.template;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.runtime.template.Statement.Branch;
import dev.moxie.runtime.template.Statement.Parameter;
import dev.moxie.runtime.template.Token.Kind;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Reads statements (jinja2 {@code parser.py}). */
final class Parser {
  private static final int MOST_NESTED = 100;

  /** Of Jinja, and of no chat template. */
  private static final Set<String> REFUSED =
      Set.of("include", "import", "from", "extends", "block", "autoescape", "do", "trans");

  private static final Set<String> FUNCTIONS =
      Set.of("namespace", "range", "dict", "raise_exception", "strftime_now", "caller");

  private final String where;
  private final List<Token> tokens;
  private final Expressions expressions = new Expressions(this);
  private final Set<String> names = new HashSet<>(FUNCTIONS);
  private final Map<String, Integer> calls = new LinkedHashMap<>();
  private int at;
  private int depth;
  private int loops;
  private int macros;

  private Parser(String where, List<Token> tokens) {
    this.where = where;
    this.tokens = tokens;
  }

  static List<Statement> parse(String where, String source) {
    var parser = new Parser(where, Lexer.tokens(where, source));
    List<Statement> all = parser.body(Set.of());
    if (parser.peek().kind() != Kind.END) {
      throw parser.wrong("the end");
    }
    parser.calls.forEach(
        (name, line) -> {
          if (!parser.names.contains(name)) {
            throw parser.unsupported(
                line, "a function among " + FUNCTIONS.stream().sorted().toList(), name);
          }
        });
    return all;
  }

  /** A function is called by its name; whether there is such a one shows at the end. */
  void called(String name) {
    calls.putIfAbsent(name, peek().line());
  }

  /** Jinja gives macros what they were given besides by two names, which none of ours has. */
  void requireKnown(String name) {
    if (macros > 0 && (name.equals("varargs") || name.equals("kwargs"))) {
      throw unsupported("a macro that names what it is given", name);
    }
  }

  Token peek() {
    return tokens.get(at);
  }

  Token peekSecond() {
    return tokens.get(Math.min(at + 1, tokens.size() - 1));
  }

  Token next() {
    return tokens.get(at < tokens.size() - 1 ? at++ : at);
  }

  boolean skipName(String name) {
    boolean is = peek().isName(name);
    if (is) {
      next();
    }
    return is;
  }

  boolean skipOperator(String operator) {
    boolean is = peek().isOperator(operator);
    if (is) {
      next();
    }
    return is;
  }

  void operator(String operator) {
    if (!skipOperator(operator)) {
      throw wrong("\"" + operator + "\"");
    }
  }

  String name() {
    if (peek().kind() != Kind.NAME) {
      throw wrong("a name");
    }
    return next().text();
  }

  private String target() {
    if (Set.of("true", "false", "none", "True", "False", "None").contains(peek().text())) {
      throw wrong("a name that can be set");
    }
    names.add(peek().text());
    return name();
  }

  CorruptException wrong(String expected) {
    return new CorruptException(
        where + ", line " + peek().line(),
        expected,
        "\"" + peek().text() + "\"",
        "write it in another way and pass that as --chat-template, or none");
  }

  InvalidInputException unsupported(String expected, String found) {
    return unsupported(peek().line(), expected, found);
  }

  private InvalidInputException unsupported(int line, String expected, String found) {
    return new UnsupportedException(
        where + ", line " + line,
        expected,
        found,
        "write it in another way and pass that as --chat-template, or none");
  }

  /** Counts what lies within each other, which takes the thread's stack. */
  void enter() {
    if (++depth > MOST_NESTED) {
      throw unsupported("at most " + MOST_NESTED + " things within each other", "more");
    }
  }

  void leave() {
    depth--;
  }

  /** Statements up to one of some names, whose tag has been begun. */
  private List<Statement> body(Set<String> ends) {
    enter();
    List<Statement> body = new ArrayList<>();
    while (peek().kind() != Kind.END) {
      Token token = next();
      switch (token.kind()) {
        case DATA -> body.add(new Statement.Data(token.text()));
        case BEGIN_VALUE -> {
          body.add(new Statement.Output(expressions.tuple(), token.line()));
          end(Kind.END_VALUE);
        }
        default -> {
          if (peek().kind() == Kind.NAME && ends.contains(peek().text())) {
            leave();
            return body;
          }
          body.add(statement());
        }
      }
    }
    if (!ends.isEmpty()) {
      throw wrong("one of " + ends.stream().sorted().toList());
    }
    leave();
    return body;
  }

  private void end(Kind kind) {
    if (peek().kind() != kind) {
      throw wrong(kind == Kind.END_VALUE ? "\"}}\"" : "\"%}\"");
    }
    next();
  }

  /** A body and the tag that ends it. */
  private List<Statement> block(String end) {
    end(Kind.END_STATEMENT);
    List<Statement> body = body(Set.of(end));
    next();
    end(Kind.END_STATEMENT);
    return body;
  }

  private Statement statement() {
    String tag = name();
    return switch (tag) {
      case "if" -> branches();
      case "for" -> loop();
      case "set" -> set();
      case "with" -> with();
      case "macro" -> {
        String name = target();
        operator("(");
        List<Parameter> parameters = parameters();
        macros++;
        List<Statement> body = outsideLoops("endmacro");
        macros--;
        yield new Statement.Macro(name, parameters, body);
      }
      case "call" -> {
        List<Parameter> parameters = skipOperator("(") ? parameters() : List.of();
        if (!(expressions.whole() instanceof Expression.Call call)) {
          throw wrong("a call");
        }
        yield new Statement.CallBlock(call, parameters, outsideLoops("endcall"));
      }
      case "filter" -> {
        Expression body = expressions.filters(new Expression.Name(Statement.BODY), true);
        yield new Statement.FilterBlock(body, block("endfilter"));
      }
      case "generation" -> new Statement.Generation(block("endgeneration"));
      case "break", "continue" -> {
        if (loops == 0) {
          throw wrong(tag + " within a loop");
        }
        end(Kind.END_STATEMENT);
        yield tag.equals("break") ? new Statement.Break() : new Statement.Continue();
      }
      default -> {
        if (REFUSED.contains(tag)) {
          throw unsupported("a statement of chat templates", tag);
        }
        throw wrong("a statement instead of " + tag);
      }
    };
  }

  /** A body that a loop around it cannot be left from. */
  private List<Statement> outsideLoops(String end) {
    int around = loops;
    loops = 0;
    List<Statement> body = block(end);
    loops = around;
    return body;
  }

  private Statement branches() {
    List<Branch> branches = new ArrayList<>();
    Expression condition = expressions.tuple();
    while (true) {
      end(Kind.END_STATEMENT);
      List<Statement> body = body(Set.of("elif", "else", "endif"));
      branches.add(new Branch(condition, body));
      String tag = name();
      if (tag.equals("endif")) {
        break;
      }
      if (tag.equals("elif")) {
        condition = expressions.tuple();
      } else {
        branches.add(new Branch(null, block("endif")));
        return new Statement.If(branches);
      }
    }
    end(Kind.END_STATEMENT);
    return new Statement.If(branches);
  }

  private Statement loop() {
    List<String> targets = targets();
    if (!skipName("in")) {
      throw wrong("in");
    }
    Expression over = expressions.withoutChoice();
    Expression condition = skipName("if") ? expressions.whole() : null;
    if (peek().isName("recursive")) {
      throw unsupported("a loop that is not recursive", "recursive");
    }
    end(Kind.END_STATEMENT);
    loops++;
    List<Statement> body = body(Set.of("else", "endfor"));
    loops--;
    boolean otherwise = name().equals("else");
    List<Statement> none = List.of();
    if (otherwise) {
      none = block("endfor");
    } else {
      end(Kind.END_STATEMENT);
    }
    return new Statement.For(targets, over, condition, body, none);
  }

  private List<String> targets() {
    boolean brackets = skipOperator("(");
    List<String> targets = new ArrayList<>();
    do {
      targets.add(target());
      if (peek().isOperator(",") && peekSecond().isOperator("(")) {
        throw unsupported("names, none in brackets of their own", "(");
      }
    } while (skipOperator(",") && peek().kind() == Kind.NAME);
    if (brackets) {
      operator(")");
      if (peek().isOperator(",")) {
        throw unsupported("names, none in brackets of their own", "(");
      }
    }
    return targets;
  }

  private Statement set() {
    if (peekSecond().isOperator(".")) {
      String namespace = target();
      next();
      String attribute = name();
      operator("=");
      Expression value = expressions.tuple();
      end(Kind.END_STATEMENT);
      return new Statement.SetAttribute(namespace, attribute, value);
    }
    List<String> names = targets();
    if (skipOperator("=")) {
      Expression value = expressions.tuple();
      end(Kind.END_STATEMENT);
      return new Statement.Set(names, value);
    }
    if (names.size() > 1) {
      throw wrong("\"=\"");
    }
    Expression body = expressions.filters(new Expression.Name(Statement.BODY), false);
    return new Statement.SetBlock(names.getFirst(), body, block("endset"));
  }

  private Statement with() {
    List<String> names = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (peek().kind() != Kind.END_STATEMENT) {
      if (!names.isEmpty()) {
        operator(",");
      }
      names.add(target());
      operator("=");
      values.add(expressions.whole());
    }
    return new Statement.With(names, values, block("endwith"));
  }

  /** Those of a macro, whose bracket has been opened. */
  private List<Parameter> parameters() {
    List<Parameter> parameters = new ArrayList<>();
    while (!skipOperator(")")) {
      if (!parameters.isEmpty()) {
        operator(",");
      }
      String name = target();
      Expression otherwise = skipOperator("=") ? expressions.whole() : null;
      if (otherwise == null && hasDefault(parameters)) {
        throw wrong("a default for " + name);
      }
      parameters.add(new Parameter(name, otherwise));
    }
    return parameters;
  }

  private static boolean hasDefault(List<Parameter> parameters) {
    @Nullable Parameter last = parameters.isEmpty() ? null : parameters.getLast();
    return last != null && last.otherwise() != null;
  }
}
