package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.moxie.verifier.reference.Scope;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

class LayerRangesTest {
  @Test
  void numbersAndRangesMayHaveSpacesAroundThem() {
    assertEquals(
        List.of(new Scope.Range(7, 7), new Scope.Range(0, 2), new Scope.Range(5, 5)),
        new LayerRanges().convert("7, 0-2,5-5 "));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", ",", "1,", "x", "-1", "3-2", "1-", "1-2-3", "1 2", "9999999"})
  void whatIsNoListOfLayersIsRefused(String list) {
    assertThrows(TypeConversionException.class, () -> new LayerRanges().convert(list));
  }
}
