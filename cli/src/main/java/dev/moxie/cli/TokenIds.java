package dev.moxie.cli;

import java.util.Arrays;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Tokens with commas between them, and spaces wherever. */
final class TokenIds implements ITypeConverter<long[]> {
  @Override
  public long[] convert(String list) {
    try {
      return Arrays.stream(list.split(",", -1))
          .map(String::strip)
          .mapToLong(Long::parseLong)
          .toArray();
    } catch (NumberFormatException e) {
      throw new TypeConversionException(
          "expected numbers with commas between them, found \"" + list + "\"");
    }
  }
}
