package dev.moxie.runtime.http;

import dev.moxie.format.json.StrictJson;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/** What a client is told instead of an answer, in OpenAI's form. */
final class ApiException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final int status;
  private final String type;
  private final @Nullable String parameter;
  private final @Nullable String code;

  private ApiException(
      int status, String type, @Nullable String parameter, @Nullable String code, String message) {
    super(message, null, false, false);
    this.status = status;
    this.type = type;
    this.parameter = parameter;
    this.code = code;
  }

  /** A request that cannot be answered as it is. */
  static ApiException invalid(int status, String message) {
    return new ApiException(status, "invalid_request_error", null, null, message);
  }

  /** Likewise, because of one parameter. */
  static ApiException invalid(String parameter, String expected, String found) {
    return new ApiException(
        400,
        "invalid_request_error",
        parameter,
        null,
        "%s: expected %s, found %s.".formatted(parameter, expected, found));
  }

  /** A parameter that other servers know. */
  static ApiException unsupported(String parameter, String message) {
    return new ApiException(
        400, "invalid_request_error", parameter, "unsupported_parameter", message);
  }

  static ApiException noSuchModel(String name, String served) {
    return new ApiException(
        404,
        "invalid_request_error",
        "model",
        "model_not_found",
        "model: expected %s, found %s.".formatted(served, name));
  }

  static ApiException unauthorised() {
    return new ApiException(
        401,
        "invalid_request_error",
        null,
        "invalid_api_key",
        "expected an API key as Authorization: Bearer KEY, found none of this server's.");
  }

  static ApiException busy() {
    return new ApiException(
        429,
        "rate_limit_error",
        null,
        "rate_limit_exceeded",
        "as many requests wait as may; try again.");
  }

  /** What is no fault of the request. */
  static ApiException server(int status, String message) {
    return new ApiException(status, "server_error", null, null, message);
  }

  int status() {
    return status;
  }

  ObjectNode json() {
    ObjectNode json = StrictJson.mapper(false).createObjectNode();
    json.putObject("error")
        .put("message", getMessage())
        .put("type", type)
        .put("param", parameter)
        .put("code", code);
    return json;
  }
}
