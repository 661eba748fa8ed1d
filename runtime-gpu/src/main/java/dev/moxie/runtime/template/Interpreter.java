package dev.moxie.runtime.template;

import dev.moxie.runtime.template.Statement.Branch;
import dev.moxie.runtime.template.Statement.Parameter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Does what a template says. */
final class Interpreter {
  private final Budget budget = new Budget();
  private StringBuilder out = new StringBuilder();
  private Scope scope;

  /** How a body ended. */
  private enum Flow {
    ON,
    BREAK,
    CONTINUE
  }

  Interpreter(Map<String, @Nullable Object> given) {
    var globals = new Scope(null);
    globals.set("namespace", (Callable) Namespace::of);
    globals.set("range", (Callable) this::range);
    globals.set("dict", (Callable) this::dict);
    given.forEach(globals::set);
    scope = new Scope(globals);
  }

  String run(List<Statement> template) {
    execute(template);
    return out.toString();
  }

  Budget budget() {
    return budget;
  }

  private Flow execute(List<Statement> body) {
    for (Statement statement : body) {
      budget.step();
      Flow flow = execute(statement);
      if (flow != Flow.ON) {
        return flow;
      }
    }
    return Flow.ON;
  }

  private void write(String text) {
    budget.make(text.length());
    out.append(text);
  }

  private Flow execute(Statement statement) {
    switch (statement) {
      case Statement.Data data -> write(data.text());
      case Statement.Output output -> write(PythonText.of(value(output.value())));
      case Statement.If branches -> {
        for (Branch branch : branches.branches()) {
          if (branch.condition() == null || Values.truth(value(branch.condition()))) {
            return execute(branch.body());
          }
        }
      }
      case Statement.For loop -> {
        return loop(loop);
      }
      case Statement.Set set -> assign(scope, set.names(), value(set.value()));
      case Statement.SetAttribute set -> {
        if (!(scope.get(set.namespace()) instanceof Namespace namespace)) {
          throw new TemplateException(set.namespace() + " is no namespace, whose parts can be set");
        }
        namespace.values().put(set.name(), value(set.value()));
      }
      case Statement.SetBlock set -> scope.set(set.name(), filtered(set.value(), set.body()));
      case Statement.FilterBlock block ->
          write(PythonText.of(filtered(block.value(), block.body())));
      case Statement.With with -> {
        var inner = new Scope(scope);
        for (int i = 0; i < with.names().size(); i++) {
          inner.set(with.names().get(i), value(with.values().get(i)));
        }
        return within(inner, with.body());
      }
      case Statement.Macro macro ->
          scope.set(macro.name(), macro(macro.name(), macro.parameters(), macro.body()));
      case Statement.CallBlock block -> {
        Callable caller = macro("caller", block.parameters(), block.body());
        write(PythonText.of(call(block.call(), caller)));
      }
      case Statement.Generation generation -> {
        return within(new Scope(scope), generation.body());
      }
      case Statement.Break none -> {
        return Flow.BREAK;
      }
      case Statement.Continue none -> {
        return Flow.CONTINUE;
      }
    }
    return Flow.ON;
  }

  private Flow within(Scope inner, List<Statement> body) {
    Scope around = scope;
    scope = inner;
    try {
      return execute(body);
    } finally {
      scope = around;
    }
  }

  /** What a body writes, instead of writing it. */
  private String captured(Scope inner, List<Statement> body) {
    StringBuilder around = out;
    out = new StringBuilder();
    try {
      within(inner, body);
      return out.toString();
    } finally {
      out = around;
    }
  }

  private @Nullable Object filtered(Expression value, List<Statement> body) {
    var inner = new Scope(scope);
    inner.set(Statement.BODY, captured(new Scope(scope), body));
    Scope around = scope;
    scope = inner;
    try {
      return value(value);
    } finally {
      scope = around;
    }
  }

  private static void assign(Scope to, List<String> names, @Nullable Object value) {
    if (names.size() == 1) {
      to.set(names.getFirst(), value);
      return;
    }
    List<@Nullable Object> parts = Values.items(value);
    if (parts.size() != names.size()) {
      throw new TemplateException(
          "expected %d values for %s, found %d".formatted(names.size(), names, parts.size()));
    }
    for (int i = 0; i < parts.size(); i++) {
      to.set(names.get(i), parts.get(i));
    }
  }

  private Flow loop(Statement.For loop) {
    Scope around = scope;
    Iterator<@Nullable Object> items =
        Values.items(value(loop.over())).stream()
            .filter(item -> loop.condition() == null || passes(loop, item, around))
            .iterator();
    var state = new Loop(items, budget);
    boolean whole = false;
    for (int i = 0; state.has(i); i++) {
      budget.step();
      state.at(i);
      var inner = new Scope(around);
      inner.set("loop", state);
      assign(inner, loop.targets(), state.item(i));
      Flow flow = within(inner, loop.body());
      whole |= flow == Flow.ON;
      if (flow == Flow.BREAK) {
        break;
      }
    }
    // As jinja2 compiles it: also where no turn came to its end.
    return whole ? Flow.ON : within(new Scope(around), loop.otherwise());
  }

  /** Whether a loop takes an item, which is asked when its turn comes. */
  private boolean passes(Statement.For loop, @Nullable Object item, Scope around) {
    budget.step();
    var inner = new Scope(around);
    assign(inner, loop.targets(), item);
    Scope now = scope;
    scope = inner;
    try {
      return loop.condition() == null || Values.truth(value(loop.condition()));
    } finally {
      scope = now;
    }
  }

  private Callable macro(String name, List<Parameter> parameters, List<Statement> body) {
    Scope defined = scope;
    return given -> {
      budget.enter();
      var inner = new Scope(defined);
      Map<String, @Nullable Object> named = new HashMap<>(given.named());
      inner.set(
          "caller", named.containsKey("caller") ? named.remove("caller") : new Undefined("caller"));
      if (given.positional().size() > parameters.size()) {
        throw new TemplateException(
            "%s takes %d values, found %d"
                .formatted(name, parameters.size(), given.positional().size()));
      }
      Scope around = scope;
      scope = inner;
      try {
        for (int i = 0; i < parameters.size(); i++) {
          Parameter parameter = parameters.get(i);
          boolean placed = i < given.positional().size();
          if (placed && named.containsKey(parameter.name())) {
            throw new TemplateException(name + " is given " + parameter.name() + " twice");
          }
          Object value =
              placed
                  ? given.positional().get(i)
                  : named.containsKey(parameter.name())
                      ? named.remove(parameter.name())
                      : parameter.otherwise() == null
                          ? new Undefined(parameter.name())
                          : value(parameter.otherwise());
          inner.set(parameter.name(), value);
        }
        if (!named.isEmpty()) {
          throw new TemplateException(name + " takes no " + named.keySet());
        }
        return captured(inner, body);
      } finally {
        scope = around;
        budget.leave();
      }
    };
  }

  private Object range(Given given) {
    long start = given.positional().size() > 1 ? Values.whole(given.positional().get(0)) : 0;
    long stop =
        Values.whole(
            given.positional().size() > 1 ? given.positional().get(1) : given.require(0, "stop"));
    long step = given.positional().size() > 2 ? Values.whole(given.positional().get(2)) : 1;
    return new Range(start, stop, step, budget);
  }

  private Object dict(Given given) {
    Map<Object, @Nullable Object> map = new LinkedHashMap<>();
    for (Object from : given.positional()) {
      if (!(from instanceof Map<?, ?> other)) {
        throw new TemplateException("dict takes a mapping and names");
      }
      map.putAll(other);
    }
    map.putAll(given.named());
    return map;
  }

  private @Nullable Object value(Expression expression) {
    budget.step();
    return switch (expression) {
      case Expression.Constant constant -> constant.value();
      case Expression.Name name -> scope.get(name.name());
      case Expression.ListOf list -> {
        List<@Nullable Object> items = new ArrayList<>();
        list.items().forEach(item -> items.add(value(item)));
        yield list.tuple() ? new Tuple(items) : items;
      }
      case Expression.DictOf dict -> {
        Map<Object, @Nullable Object> map = new LinkedHashMap<>();
        for (int i = 0; i < dict.keys().size(); i++) {
          map.put(Values.key(value(dict.keys().get(i))), value(dict.values().get(i)));
        }
        yield map;
      }
      case Expression.Attribute attribute -> attribute(value(attribute.of()), attribute.name());
      case Expression.Item item -> item(value(item.of()), value(item.key()));
      case Expression.Slice slice ->
          Values.slice(
              value(slice.of()),
              slice.start() == null ? null : value(slice.start()),
              slice.stop() == null ? null : value(slice.stop()),
              slice.step() == null ? null : value(slice.step()));
      case Expression.Call call -> call(call, null);
      case Expression.Filter filter ->
          Filters.named(filter.name())
              .apply(this, value(filter.of()), given(filter.arguments(), null));
      case Expression.Test test ->
          Tests.named(test.name()).holds(value(test.of()), given(test.arguments(), null), budget);
      case Expression.Unary unary -> unary(unary.operator(), value(unary.of()));
      case Expression.Binary binary -> binary(binary);
      case Expression.Compare compare -> compare(compare);
      case Expression.Choice choice ->
          Values.truth(value(choice.condition()))
              ? value(choice.then())
              : choice.otherwise() == null
                  ? new Undefined("what an if without else leaves")
                  : value(choice.otherwise());
    };
  }

  private Object unary(String operator, @Nullable Object of) {
    if (operator.equals("not")) {
      return !Values.truth(of);
    }
    return switch (Values.numeric(of)) {
      case Long whole -> operator.equals("-") ? Values.compute("-", 0L, whole, budget) : whole;
      case Double number -> operator.equals("-") ? -number : number;
      case Undefined undefined -> throw undefined.error();
      case null, default -> throw new TemplateException(Values.type(of) + " has no sign");
    };
  }

  private @Nullable Object binary(Expression.Binary binary) {
    Object left = value(binary.left());
    return switch (binary.operator()) {
      case "and" -> Values.truth(left) ? value(binary.right()) : left;
      case "or" -> Values.truth(left) ? left : value(binary.right());
      case "~" -> {
        String text = PythonText.of(left) + PythonText.of(value(binary.right()));
        budget.make(text.length());
        yield text;
      }
      default -> Values.compute(binary.operator(), left, value(binary.right()), budget);
    };
  }

  private boolean compare(Expression.Compare compare) {
    Object left = value(compare.first());
    for (int i = 0; i < compare.operators().size(); i++) {
      Object right = value(compare.others().get(i));
      boolean holds =
          switch (compare.operators().get(i)) {
            case "==" -> Values.equal(left, right, budget);
            case "!=" -> !Values.equal(left, right, budget);
            case "in" -> Values.contains(right, left, budget);
            case "not in" -> !Values.contains(right, left, budget);
            case "<" -> Values.order(left, right, budget) < 0;
            case "<=" -> Values.order(left, right, budget) <= 0;
            case ">" -> Values.order(left, right, budget) > 0;
            default -> Values.order(left, right, budget) >= 0;
          };
      if (!holds) {
        return false;
      }
      left = right;
    }
    return true;
  }

  private Given given(Expression.Arguments arguments, @Nullable Callable caller) {
    List<@Nullable Object> positional = new ArrayList<>();
    arguments.positional().forEach(argument -> positional.add(value(argument)));
    Map<String, @Nullable Object> named = new LinkedHashMap<>();
    arguments.named().forEach((name, argument) -> named.put(name, value(argument)));
    if (caller != null) {
      named.put("caller", caller);
    }
    return new Given(positional, named);
  }

  private @Nullable Object call(Expression.Call call, @Nullable Callable caller) {
    Object of = value(call.of());
    if (of instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (!(of instanceof Callable callable)) {
      throw new TemplateException(Values.type(of) + " cannot be called");
    }
    return callable.call(given(call.arguments(), caller));
  }

  /** {@code of.name}: a method, else an item. */
  private @Nullable Object attribute(@Nullable Object of, String name) {
    if (of instanceof Undefined undefined) {
      throw undefined.error();
    }
    Callable method = Methods.of(of, name, budget);
    return method == null ? own(of, name) : method;
  }

  private static @Nullable Object own(@Nullable Object of, String name) {
    return switch (of) {
      case Map<?, ?> map when map.containsKey(name) -> map.get(name);
      case Namespace namespace when namespace.values().containsKey(name) ->
          namespace.values().get(name);
      case Loop loop -> loop.get(name);
      case null, default -> new Undefined(name);
    };
  }

  /** {@code of[key]}: an item, else a method. */
  private @Nullable Object item(@Nullable Object of, @Nullable Object key) {
    if (of instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (key instanceof List<?> || key instanceof Map<?, ?>) {
      return new Undefined("an item by a list");
    }
    if (of instanceof Map<?, ?> map && map.containsKey(Values.key(key))) {
      return map.get(Values.key(key));
    }
    if (key instanceof String name) {
      return attribute(of, name);
    }
    if ((of instanceof List<?> || of instanceof String) && Values.numeric(key) instanceof Long at) {
      List<@Nullable Object> items = Values.items(of);
      long place = at < 0 ? at + items.size() : at;
      return place >= 0 && place < items.size()
          ? items.get((int) place)
          : new Undefined("item " + at);
    }
    return new Undefined("such an item");
  }

  /** The part of a value that a filter names, as in {@code function.name}. */
  @Nullable Object path(@Nullable Object of, @Nullable Object path) {
    if (path instanceof Long) {
      return item(of, path);
    }
    Object part = of;
    for (String name : Values.text(path).split("\\.", -1)) {
      part = item(part, name.matches("\\d{1,9}") ? (Object) Long.parseLong(name) : name);
    }
    return part;
  }
}
