package dev.moxie.house;

import static com.tngtech.archunit.core.domain.JavaAccess.Predicates.target;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.type;
import static com.tngtech.archunit.core.domain.properties.HasName.Predicates.nameMatching;
import static com.tngtech.archunit.core.domain.properties.HasOwner.Predicates.With.owner;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import dev.moxie.cli.Main;
import dev.moxie.runtime.execution.LoweringProof;
import dev.moxie.runtime.plain.PackageWeights;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Program;
import dev.moxie.verifier.LoweringCheck;
import dev.moxie.verifier.ProofByReport;
import dev.moxie.verifier.Verifier;
import dev.moxie.verifier.baseline.BaselineCheck;
import java.io.FileOutputStream;
import java.io.FileWriter;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;

/** Which module may see which, and which library stays behind which package. */
@AnalyzeClasses(packages = "dev.moxie", importOptions = ImportOption.DoNotIncludeTests.class)
class ModuleRulesTest {
  @ArchTest
  static final ArchRule modulesSeeOnlyWhatTheDesignAllows =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .layer("format-spec")
          .definedBy("dev.moxie.format..")
          .layer("converter")
          .definedBy("dev.moxie.converter..")
          .layer("runtime-gpu")
          .definedBy("dev.moxie.runtime..")
          .layer("verifier")
          .definedBy("dev.moxie.verifier..")
          .layer("fixtures")
          .definedBy("dev.moxie.fixtures..")
          .layer("cli")
          .definedBy("dev.moxie.cli..")
          .whereLayer("cli")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("fixtures")
          .mayOnlyBeAccessedByLayers("cli")
          .whereLayer("verifier")
          .mayOnlyBeAccessedByLayers("cli")
          .whereLayer("runtime-gpu")
          .mayOnlyBeAccessedByLayers("verifier", "cli")
          .whereLayer("converter")
          .mayOnlyBeAccessedByLayers("verifier", "cli");

  @ArchTest
  static final ArchRule packagesHaveNoCycles =
      slices().matching("dev.moxie.(*.*)..").should().beFreeOfCycles();

  @ArchTest
  static final ArchRule theOracleSharesNothingWithTheLowering =
      noClasses()
          .that()
          .resideInAPackage("dev.moxie.verifier.oracle..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("dev.moxie.runtime..", "dev.moxie.converter..");

  /** Whoever may open a model without waiting for the oracle is named here. */
  @ArchTest
  static final ArchRule modelsAreProvenByTheOracle =
      noClasses()
          .that()
          .doNotBelongToAnyOf(LoweringCheck.class, ProofByReport.class)
          .should()
          .implement(LoweringProof.class);

  @ArchTest
  static final ArchRule onlyWhatReportsEachNumberProvesByReport =
      noClasses()
          .that()
          .doNotBelongToAnyOf(ProofByReport.class, Verifier.class, BaselineCheck.class)
          .should()
          .dependOnClassesThat()
          .belongToAnyOf(ProofByReport.class);

  /** Constructors of models are private; this is about what they are made of. */
  @ArchTest
  static final ArchRule nothingComputesAroundAModel =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.moxie.runtime..")
          .should()
          .dependOnClassesThat()
          .belongToAnyOf(Program.class, Pass.class, PackageWeights.class);

  @ArchTest
  static final ArchRule nothingButFamiliesKnowsAFamilyByName =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.moxie.converter.family..")
          .and()
          .resideOutsideOfPackage("dev.moxie.fixtures..")
          .should(new FamilyNames());

  @ArchTest
  static final ArchRule onnxRuntimeStaysInsideTheRuntime =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.moxie.runtime..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("dev.moxie.runtime.ort..", "ai.onnx..", "ai.djl..");

  /** Its Java interface has no bindings; the jar is there for the libraries in it. */
  @ArchTest
  static final ArchRule onnxRuntimeIsCalledThroughItsCInterface =
      noClasses().should().dependOnClassesThat().resideInAPackage("ai.onnxruntime..");

  @ArchTest
  static final ArchRule arrowStaysInsideTheFormat =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.moxie.format.pack..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.apache.arrow..", "com.google.flatbuffers..");

  @ArchTest
  static final ArchRule onlyTheCommandLinePrintsOrExits =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.moxie.cli..")
          .should()
          .accessField(System.class, "out")
          .orShould()
          .accessField(System.class, "err")
          .orShould()
          .callMethod(System.class, "exit", int.class);

  /** So that its tests stand at every change, and nothing that is not ours is changed. */
  @ArchTest
  static final ArchRule onlyTheFilePackageChangesFiles =
      noClasses()
          .that()
          .resideOutsideOfPackages("dev.moxie.format.file..", "dev.moxie.fixtures..")
          .and()
          // What it writes to are standard output and error.
          .doNotBelongToAnyOf(Main.class)
          .should()
          .callMethodWhere(
              target(owner(type(Files.class)))
                  .and(
                      target(
                          nameMatching(
                              "(write|create|delete|set|move|copy|new.*(Out|Wri|Byte)).*"))))
          .orShould()
          .accessFieldWhere(
              target(owner(type(StandardOpenOption.class)))
                  .and(target(nameMatching("WRITE|APPEND|CREATE.*|TRUNCATE.*|DELETE.*"))))
          .orShould()
          .dependOnClassesThat()
          .belongToAnyOf(FileOutputStream.class, FileWriter.class, RandomAccessFile.class);

  @ArchTest
  static final ArchRule allPackagesAreNullMarked =
      classes()
          .that()
          .haveSimpleName("package-info")
          .should()
          .beAnnotatedWith(org.jspecify.annotations.NullMarked.class);
}
