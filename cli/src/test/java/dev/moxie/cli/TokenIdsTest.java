package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

class TokenIdsTest {
  @Test
  void numbersMayHaveSpacesAroundThem() {
    assertArrayEquals(new long[] {5, 6, 7}, new TokenIds().convert(" 5, 6,7"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", ",", "1,", "1,,2", "1,x", "1 2", "9223372036854775808"})
  void whatIsNoListOfNumbersIsRefused(String list) {
    assertThrows(TypeConversionException.class, () -> new TokenIds().convert(list));
  }
}
