package dev.moxie.format.json;

import java.util.Collection;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonToken;
import tools.jackson.core.exc.InputCoercionException;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.exc.StreamReadException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.exc.InvalidFormatException;
import tools.jackson.databind.exc.InvalidTypeIdException;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.databind.exc.ValueInstantiationException;

/** What a parser found, in the words of JSON and not in those of the library or of Java. */
public final class JsonWords {
  private static final Pattern MISSING = Pattern.compile("Missing .*creator property '([^']*)'");
  private static final Pattern NUMBER = Pattern.compile("\\((-?\\d[^)]*)\\)");

  /** Where the library goes on to tell programmers which of its settings would let it pass. */
  private static final Pattern SETTING =
      Pattern.compile(
          ": enable `.*"
              + "|: maybe a \\(non-standard\\) comment.*"
              + "|: [^:]*require enabling `.*"
              + "|: expected a valid value \\(JSON.*");

  private static final int LONGEST = 200;

  private JsonWords() {}

  /** A token, or null for none. */
  public static String of(@Nullable JsonToken token) {
    return switch (token) {
      case null -> "nothing";
      case VALUE_STRING -> "text";
      case VALUE_NUMBER_INT -> "a whole number";
      case VALUE_NUMBER_FLOAT -> "a fraction";
      case VALUE_TRUE -> "true";
      case VALUE_FALSE -> "false";
      case VALUE_NULL -> "null";
      case START_OBJECT -> "an object";
      case START_ARRAY -> "a list";
      case END_OBJECT -> "the end of an object";
      case END_ARRAY -> "the end of a list";
      default -> token.name().toLowerCase(Locale.ROOT).replace('_', ' ');
    };
  }

  /** A value's kind. */
  public static String of(JsonNode node) {
    return node.isMissingNode() ? "nothing" : of(node.asToken());
  }

  /** A value as it stands in a file, shortened. */
  public static String value(JsonNode node) {
    return node.isMissingNode() ? "none" : shortened(node.toString());
  }

  static String of(JacksonException e) {
    return switch (e) {
      case UnrecognizedPropertyException p -> "a member \"" + p.getPropertyName() + "\" besides";
      case InvalidTypeIdException t when t.getTypeId() == null -> "no word that says what it is";
      case InvalidTypeIdException t -> "\"" + t.getTypeId() + "\", which this build does not know";
      case InvalidFormatException f ->
          shortened("\"" + f.getValue() + "\"") + " in the place of " + kind(f.getTargetType());
      case ValueInstantiationException v when v.getCause() != null -> broken(v.getCause());
      case MismatchedInputException m -> mismatch(m);
      case StreamConstraintsException c ->
          "deeper nesting or a longer number than any such file has";
      case InputCoercionException number -> tooLarge(String.valueOf(number.getOriginalMessage()));
      case StreamReadException syntax ->
          shortened(SETTING.matcher(firstLine(syntax.getOriginalMessage())).replaceFirst(""));
      default -> "something else";
    };
  }

  private static String tooLarge(String message) {
    Matcher number = NUMBER.matcher(message);
    return (number.find() ? shortened(number.group(1)) : "a number") + ", beyond what fits there";
  }

  /** What a record says of its own members; Java's words for a null that it did not expect. */
  private static String broken(Throwable rule) {
    String message = firstLine(rule.getMessage());
    return message.startsWith("Cannot ") ? "no value where one is needed" : shortened(message);
  }

  /** Whether a member is not there, rather than something else. */
  public static boolean isMissing(MismatchedInputException e) {
    return MISSING.matcher(String.valueOf(e.getOriginalMessage())).find();
  }

  private static String mismatch(MismatchedInputException e) {
    Matcher missing = MISSING.matcher(String.valueOf(e.getOriginalMessage()));
    if (missing.find()) {
      return "no member \"" + missing.group(1) + "\"";
    }
    return String.valueOf(e.getOriginalMessage()).startsWith("Trailing token")
        ? "more after its end"
        : "another value in the place of " + kind(e.getTargetType());
  }

  private static String kind(@Nullable Class<?> type) {
    if (type == null || type == Object.class) {
      return "a value";
    } else if (type == boolean.class || type == Boolean.class) {
      return "true or false";
    } else if (type == double.class || type == Double.class) {
      return "a number";
    } else if (type.isPrimitive() || Number.class.isAssignableFrom(type)) {
      return "a whole number";
    } else if (type == String.class) {
      return "text";
    } else if (type.isEnum()) {
      return "a word of a fixed list";
    }
    return Collection.class.isAssignableFrom(type) ? "a list" : "an object";
  }

  private static String firstLine(@Nullable String message) {
    // What follows is about the parser's source and settings, not about the file.
    return message == null
        ? "something else"
        : message.split("\n| \\(start marker|\\[Source", 2)[0];
  }

  private static String shortened(String text) {
    return text.length() > LONGEST ? text.substring(0, LONGEST) + "…" : text;
  }
}
