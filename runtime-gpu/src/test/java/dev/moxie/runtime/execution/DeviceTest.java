package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.runtime.cuda.Card;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DeviceTest {
  private static Card card(String capability) {
    String[] numbers = capability.split("\\.");
    return new Card(
        "Card", Integer.parseInt(numbers[0]), Integer.parseInt(numbers[1]), 80_000_000_000L);
  }

  @ParameterizedTest
  @CsvSource({"6.0", "6.1", "7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "12.0", "12.1"})
  void codeRunsOnLaterMinorNumbersOfItsMajorNumber(String capability) {
    assertDoesNotThrow(() -> Device.requireCode(card(capability)));
  }

  /** The jar has code alone, no PTX, so what is not listed does not run. */
  @ParameterizedTest
  @CsvSource({"5.2", "10.0", "10.3", "11.0", "13.0"})
  void aCardWithoutCodeIsRefusedWithTheReason(String capability) {
    String message =
        assertThrows(EnvironmentException.class, () -> Device.requireCode(card(capability)))
            .getMessage();
    assertTrue(
        message.contains("of compute capability 6.0, 7.0, 7.5, 8.0, 8.6, 8.9, 9.0, 12.0 or later"),
        message);
    assertTrue(
        message.contains("found Card (compute capability " + capability + ", 80 GB)"), message);
  }

  @Test
  void theCpuHasNoCard() {
    assertEquals(Optional.empty(), Device.CPU.card());
    assertEquals("CPU", Device.CPU.description());
  }

  @Test
  void oneOfSeveralCardsIsNamed() {
    assertEquals(" on Card (compute capability 9.0, 80 GB)", Device.description(card("9.0"), 1));
    assertEquals(
        " on Card (compute capability 9.0, 80 GB), the first of 8 cards",
        Device.description(card("9.0"), 8));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "Failed to load library /tmp/x.so with error: libcublasLt.so.12: cannot open shared object"
            + "|found no libcublasLt.so.12 on this machine; install CUDA 12.8,",
        "CUDA execution provider is not enabled in this build."
            + "|found no CUDA provider (libonnxruntime_providers_cuda) in this build; build with",
        "CUDA failure 100|found CUDA failure 100; install CUDA 12.8,"
      })
  void whatTheProviderLacksIsNamed(String message, String sentence) {
    String said = CudaProvider.missing(message).getMessage();
    assertTrue(said.contains(sentence), said);
  }
}
