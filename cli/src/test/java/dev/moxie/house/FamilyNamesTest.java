package dev.moxie.house;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.importer.ClassFileImporter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The rule about families' names catches what it is for. */
class FamilyNamesTest {
  private static final class Compares {
    static boolean planted(String family) {
      return family.equals("mixtral");
    }
  }

  private static final class Switches {
    static int planted(String architecture) {
      return switch (architecture) {
        case "DeepseekV3ForCausalLM" -> 1;
        default -> 0;
      };
    }
  }

  private static final class LooksAtTheBeginning {
    static boolean planted(String type) {
      return type.startsWith("kimi_");
    }
  }

  private static final class MixtralShortcut {}

  private static final class Explains {
    static String innocent() {
      return "grouped choice, as DeepSeek-V2 has it; see fixtures/tiny-mixtral" + Explains.class;
    }
  }

  @ParameterizedTest
  @ValueSource(
      classes = {Compares.class, Switches.class, LooksAtTheBeginning.class, MixtralShortcut.class})
  void aPlantedNameIsCaught(Class<?> planted) {
    assertTrue(violates(planted));
  }

  @Test
  void proseAndFileNamesMayNameAModel() {
    assertFalse(violates(Explains.class));
  }

  private static boolean violates(Class<?> type) {
    return ModuleRulesTest.nothingButFamiliesKnowsAFamilyByName
        .evaluate(new ClassFileImporter().importClasses(type))
        .hasViolation();
  }
}
