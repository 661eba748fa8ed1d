package dev.moxie.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

class ByteSizeTest {
  @ParameterizedTest
  @CsvSource({
    "5GB, 5000000000",
    "1MiB, 1048576",
    "2K, 2000",
    "7B, 7",
    "12, 12",
    "1.5gib, 1610612736"
  })
  void sizesHaveDecimalAndBinaryUnits(String size, long bytes) {
    assertEquals(bytes, new ByteSize().convert(size));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "0", "-1GB", "5 GB", "GB", "5iB", "0.1", "99999999999999TB"})
  void whatIsNoSizeIsRefused(String size) {
    String message =
        assertThrows(TypeConversionException.class, () -> new ByteSize().convert(size))
            .getMessage();
    assertTrue(message.contains("5GB"), message);
  }
}
