package dev.moxie.runtime.template;

/** A template that cannot be rendered with what it was given, or that says so itself. */
public final class TemplateException extends RuntimeException {
  private static final long serialVersionUID = 1;

  TemplateException(String message) {
    super(message, null, false, false);
  }
}
