package dev.moxie.verifier.diagnosis;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class BudgetTest {
  private final AtomicLong clock = new AtomicLong();
  private final Budget budget = new Budget(Duration.ofSeconds(10), clock::get);

  private void pass(long seconds) {
    clock.addAndGet(Duration.ofSeconds(seconds).toNanos());
  }

  private boolean spend(long seconds) {
    return budget.during(
        () -> {
          pass(seconds);
          return true;
        });
  }

  @Test
  void onlyTimeOfDiagnosisIsSpent() {
    pass(100);
    assertTrue(spend(4));
    pass(100);
    assertTrue(spend(5));
    pass(100);
    assertFalse(budget.isSpent());
    assertTrue(spend(1));
    assertTrue(budget.isSpent());
  }

  @Test
  void workInsideWorkIsSpentOnce() {
    assertTrue(budget.during(() -> spend(6)));
    assertFalse(budget.isSpent());
  }

  @Test
  void itEndsAmidWork() {
    budget.during(
        () -> {
          pass(9);
          assertDoesNotThrow(budget::require);
          pass(1);
          assertThrows(Budget.Spent.class, budget::require);
          return true;
        });
  }
}
