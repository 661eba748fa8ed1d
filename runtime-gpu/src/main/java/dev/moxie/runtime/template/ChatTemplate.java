package dev.moxie.runtime.template;

import dev.moxie.format.error.InvalidInputException;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** Makes the text of a prompt of a conversation. */
public final class ChatTemplate {
  private final List<Statement> statements;

  private ChatTemplate(List<Statement> statements) {
    this.statements = statements;
  }

  /**
   * Reads a template.
   *
   * @param where it is from, for messages
   * @throws InvalidInputException if it is none, or has what is not supported here
   */
  public static ChatTemplate parse(String where, String source) {
    return new ChatTemplate(Parser.parse(where, source));
  }

  /**
   * The text of a prompt.
   *
   * @param given what the template may read by name: {@code messages}, {@code
   *     add_generation_prompt}, {@code tools}, {@code bos_token} and what else there is
   * @param now for a template that writes the date
   * @throws TemplateException if the template refuses it, or fails
   */
  public String render(ObjectNode given, ZonedDateTime now) {
    Map<String, @Nullable Object> names = new LinkedHashMap<>();
    names.put(
        "raise_exception",
        (Callable)
            arguments -> {
              throw new TemplateException(PythonText.of(arguments.require(0, "message")));
            });
    names.put(
        "strftime_now",
        (Callable) arguments -> date(Values.text(arguments.require(0, "format")), now));
    given.properties().forEach(entry -> names.put(entry.getKey(), value(entry.getValue())));
    try {
      return new Interpreter(names).run(statements);
    } catch (StackOverflowError e) {
      throw new TemplateException("values lie too deep within each other");
    }
  }

  private static @Nullable Object value(JsonNode json) {
    return switch (json.getNodeType()) {
      case OBJECT -> {
        Map<Object, @Nullable Object> map = new LinkedHashMap<>();
        json.properties().forEach(entry -> map.put(entry.getKey(), value(entry.getValue())));
        yield map;
      }
      case ARRAY -> {
        List<@Nullable Object> list = new ArrayList<>();
        json.forEach(item -> list.add(value(item)));
        yield list;
      }
      case STRING -> json.stringValue();
      case BOOLEAN -> json.booleanValue();
      case NUMBER -> number(json);
      default -> null;
    };
  }

  private static Object number(JsonNode json) {
    if (!json.isIntegralNumber()) {
      return json.doubleValue();
    }
    return json.canConvertToLong() ? (Object) json.longValue() : json.bigIntegerValue();
  }

  private static String date(String format, ZonedDateTime now) {
    var out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 == format.length()) {
        out.append(c);
        continue;
      }
      char kind = format.charAt(++i);
      String pattern =
          switch (kind) {
            case 'Y' -> "uuuu";
            case 'y' -> "uu";
            case 'm' -> "MM";
            case 'd' -> "dd";
            case 'B' -> "MMMM";
            case 'b' -> "MMM";
            case 'A' -> "EEEE";
            case 'a' -> "EEE";
            case 'H' -> "HH";
            case 'I' -> "hh";
            case 'M' -> "mm";
            case 'S' -> "ss";
            case 'p' -> "a";
            case 'j' -> "DDD";
            case '%' -> "'%'";
            default -> throw new TemplateException("a date has no %" + kind + " here");
          };
      out.append(DateTimeFormatter.ofPattern(pattern, Locale.ENGLISH).format(now));
    }
    return out.toString();
  }
}
