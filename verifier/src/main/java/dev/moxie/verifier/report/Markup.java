package dev.moxie.verifier.report;

import java.io.StringWriter;
import javax.xml.stream.XMLOutputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamWriter;

/**
 * Writes elements, as XML and as HTML that is XML as well. Every text and attribute is escaped, and
 * characters that XML 1.0 has no place for become U+FFFD.
 */
public final class Markup {
  private final StringWriter text = new StringWriter();
  private final XMLStreamWriter out;

  /** An element that ends when it is closed. */
  @FunctionalInterface
  public interface Open extends AutoCloseable {
    @Override
    void close();
  }

  /** Something that may fail in principle, and never does on a string. */
  @FunctionalInterface
  private interface Write {
    void run() throws XMLStreamException;
  }

  /**
   * Starts a document.
   *
   * @param start what comes before the first element, taken as it is
   */
  public Markup(String start) {
    text.append(start);
    try {
      out = XMLOutputFactory.newDefaultFactory().createXMLStreamWriter(text);
    } catch (XMLStreamException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Starts an element.
   *
   * @param attributes names and values in turn
   */
  public Open open(String name, String... attributes) {
    write(() -> out.writeStartElement(name));
    attributes(attributes);
    return () -> write(out::writeEndElement);
  }

  /** A whole element with text in it. */
  public void element(String name, String content, String... attributes) {
    try (var _ = open(name, attributes)) {
      text(content);
    }
  }

  /** An element that holds nothing; in HTML, of those that have no end tag or are of SVG. */
  public void empty(String name, String... attributes) {
    write(() -> out.writeEmptyElement(name));
    attributes(attributes);
  }

  /** Text inside the element that is open. */
  public void text(String content) {
    write(() -> out.writeCharacters(legal(content)));
  }

  /** A line break between elements. */
  public void newLine() {
    text("\n");
  }

  /** The document so far. */
  @Override
  public String toString() {
    write(out::flush);
    return text.toString();
  }

  private void attributes(String... attributes) {
    for (int i = 0; i < attributes.length; i += 2) {
      String name = attributes[i];
      String value = legal(attributes[i + 1]);
      write(() -> out.writeAttribute(name, value));
    }
  }

  private static void write(Write action) {
    try {
      action.run();
    } catch (XMLStreamException e) {
      throw new IllegalStateException(e);
    }
  }

  /** {@code Char} of XML 1.0, less the carriage return, which readers take for a line's end. */
  private static String legal(String content) {
    var legal = new StringBuilder();
    content
        .codePoints()
        .map(
            point ->
                point == '\n'
                        || point == '\t'
                        || (point >= 0x20 && point < 0xD800)
                        || (point >= 0xE000 && point < 0xFFFE)
                        || point >= 0x10000
                    ? point
                    : 0xFFFD)
        .forEach(legal::appendCodePoint);
    return legal.toString();
  }
}
