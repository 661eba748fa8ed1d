package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Routing;
import dev.moxie.format.model.Step;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Forced;
import dev.moxie.verifier.oracle.Forced.Stage;
import dev.moxie.verifier.oracle.WeightMatrix;
import dev.moxie.verifier.report.Figures;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * What the reference has in the place of each wrong expert. The reference recorded a sum over the
 * chosen experts, y_t = Σ w_te f_e(x_t). Each wrong expert's f_e is written as a combination of
 * candidates that the package offers (itself, the other experts, itself with gate and up swapped,
 * the same expert of other layers), and the coefficients are found by least squares over all tokens
 * and elements; where one candidate has all the weight, it is the answer.
 */
final class ExpertSuspects {
  /** More unknowns than that are not solved for. */
  private static final int MOST_UNKNOWNS = 1500;

  /** What all other coefficients may have beside the largest; the answer is checked afterwards. */
  private static final double BESIDE = 0.5;

  private static final int SHOWN = 8;

  private final Evidence evidence;
  private final int layer;
  private final Forced own;
  private final FeedForward.MixtureOfExperts moe;

  /**
   * What may stand in an expert's place.
   *
   * @param number of an expert or a layer
   * @param source what takes the place of each weight
   */
  private record Candidate(Kind kind, int number, UnaryOperator<IndexRow> source) {}

  private enum Kind {
    /** The package's expert of this layer, gate and up as they are. */
    EXPERT,
    /** The expert itself with gate for up. */
    SWAPPED,
    /** The same expert of another layer. */
    OF_LAYER
  }

  /** A candidate times a factor. */
  private record Answer(Candidate candidate, double factor) {}

  ExpertSuspects(Evidence evidence, int layer) {
    this.evidence = evidence;
    this.layer = layer;
    this.own = evidence.layer(layer);
    this.moe = own.moe();
  }

  /**
   * Suspects that account for all wrong experts: first with the others taken for right, then with
   * all in question, since wide bounds may clear a wrong one.
   *
   * @param wrong experts that no token clears
   */
  Stream<Suspect> explain(List<Integer> wrong) {
    List<Integer> used =
        own.experts().stream().flatMapToInt(Arrays::stream).distinct().sorted().boxed().toList();
    return Stream.of(wrong, used)
        .map(ids -> ids.stream().map(moe::ofId).filter(e -> e < moe.weighted()).distinct().toList())
        .distinct()
        .map(this::solution)
        .flatMap(Optional::stream);
  }

  private Optional<Suspect> solution(List<Integer> unknown) {
    List<Candidate> candidates = candidates();
    if (unknown.isEmpty() || (long) unknown.size() * candidates.size() > MOST_UNKNOWNS) {
      return Optional.empty();
    }
    return solve(unknown, candidates)
        .filter(answers -> !words(answers).isEmpty())
        .map(this::suspect);
  }

  /** Of any expert: those of its layer come first, by their numbers. */
  private List<Candidate> candidates() {
    MoxiePackage pack = evidence.pack();
    List<Candidate> candidates = new ArrayList<>();
    for (int e = 0; e < moe.weighted(); e++) {
      int expert = e;
      candidates.add(new Candidate(Kind.EXPERT, e, row -> Siblings.ofExpert(pack, row, expert)));
    }
    if (!moe.ungated()) {
      candidates.add(new Candidate(Kind.SWAPPED, 0, row -> Siblings.gateForUp(pack, row)));
    }
    for (int i = 0; i < evidence.architecture().layers().size(); i++) {
      int other = i;
      if (other != layer
          && evidence.architecture().layers().get(other).feedForward()
              instanceof FeedForward.MixtureOfExperts m
          && m.weighted() == moe.weighted()
          && m.intermediateSize() == moe.intermediateSize()
          && m.ungated() == moe.ungated()) {
        candidates.add(
            new Candidate(Kind.OF_LAYER, other, row -> Siblings.ofLayer(pack, row, other)));
      }
    }
    return candidates;
  }

  private Optional<Map<Integer, Answer>> solve(List<Integer> wrong, List<Candidate> candidates) {
    Estimate x = own.given(Step.MOE_INPUT);
    Estimate target = own.recorded(Stage.EXPERTS);
    Estimate weights = own.recorded(Stage.WEIGHTS);
    List<int[]> chosen = own.experts();
    int width = candidates.size();
    var outputs = new Outputs(x, weights, chosen);
    var problem = new LeastSquares(wrong.size() * width);
    for (int t = 0; t < chosen.size(); t++) {
      evidence.budget().require();
      double[] rest = new double[x.columns()];
      for (int c = 0; c < rest.length; c++) {
        rest[c] = target.value(t, c);
      }
      List<double[]> columns = new ArrayList<>();
      List<Integer> unknowns = new ArrayList<>();
      for (int i = 0; i < weights.columns(); i++) {
        int id = chosen.get(t)[i];
        int expert = moe.ofId(id);
        int place = wrong.indexOf(expert);
        double w = weights.value(t, i);
        if (place < 0) {
          double[] right =
              expert < moe.weighted()
                  ? outputs.of(candidates.get(expert), id, t, w)
                  : outputs.ofIdentity(t, w);
          for (int c = 0; c < rest.length; c++) {
            rest[c] -= right[c];
          }
        } else {
          for (int j = 0; j < width; j++) {
            columns.add(outputs.of(candidates.get(j), id, t, w));
            unknowns.add(place * width + j);
          }
        }
      }
      for (int a = 0; a < columns.size(); a++) {
        problem.addTarget(unknowns.get(a), LeastSquares.dot(columns.get(a), rest));
        for (int b = 0; b < columns.size(); b++) {
          problem.add(
              unknowns.get(a), unknowns.get(b), LeastSquares.dot(columns.get(a), columns.get(b)));
        }
      }
    }
    double[] solution = problem.solve();
    Map<Integer, Answer> answers = new TreeMap<>();
    for (int place = 0; place < wrong.size(); place++) {
      int largest = 0;
      double others = 0;
      for (int j = 0; j < width; j++) {
        double magnitude = Math.abs(solution[place * width + j]);
        if (magnitude > Math.abs(solution[place * width + largest])) {
          largest = j;
        }
        others += magnitude;
      }
      double factor = solution[place * width + largest];
      if (!(others - Math.abs(factor) < BESIDE * Math.abs(factor))) {
        return Optional.empty();
      }
      boolean one = Difference.isOne(factor, evidence.precision());
      answers.put(wrong.get(place), new Answer(candidates.get(largest), one ? 1 : factor));
    }
    return Optional.of(answers);
  }

  /** Outputs of candidates for all tokens, each computed once. */
  private final class Outputs {
    private final Map<List<Object>, Estimate> known = new HashMap<>();
    private final Estimate x;
    private final Estimate weights;
    private final List<int[]> chosen;
    private final boolean onInput =
        moe.routing().weightsApplyTo() == Routing.WeightsApplyTo.EXPERT_INPUT;

    Outputs(Estimate x, Estimate weights, List<int[]> chosen) {
      this.x = x;
      this.weights = weights;
      this.chosen = chosen;
    }

    /** A candidate for an expert, for a token, times a weight; of a task, in its part alone. */
    double[] of(Candidate candidate, int id, int token, double weight) {
      int expert = moe.ofId(id);
      // Another expert is the same in every place, but for what inputs are multiplied by.
      boolean anywhere = candidate.kind() == Kind.EXPERT && !onInput;
      Estimate y =
          known.computeIfAbsent(
              anywhere ? List.of(candidate) : List.of(candidate, expert),
              key -> compute(candidate, expert));
      double[] row = new double[x.columns()];
      int first = moe.byTask() ? id / moe.weighted() * y.columns() : 0;
      for (int c = 0; c < y.columns(); c++) {
        row[first + c] = onInput ? y.value(token, c) : weight * y.value(token, c);
      }
      return row;
    }

    /** What a token is given back, times a weight. */
    double[] ofIdentity(int token, double weight) {
      double[] row = new double[x.columns()];
      for (int c = 0; c < row.length; c++) {
        row[c] = weight * x.value(token, c);
      }
      return row;
    }

    private Estimate compute(Candidate candidate, int expert) {
      UnaryOperator<IndexRow> source =
          row -> row.kind() == IndexRow.Kind.SLICE ? candidate.source().apply(row) : row;
      return evidence
          .layer(layer, Suspect.exchange("", evidence, source))
          .expert(expert, onInput ? weighed(expert) : x);
    }

    /** The input of every token that has an expert, times its weight. */
    private Estimate weighed(int expert) {
      float[] inputs = new float[x.rows() * x.columns()];
      for (int t = 0; t < x.rows(); t++) {
        for (int i = 0; i < weights.columns(); i++) {
          for (int c = 0; chosen.get(t)[i] == expert && c < x.columns(); c++) {
            inputs[t * x.columns() + c] = (float) (weights.value(t, i) * x.value(t, c));
          }
        }
      }
      return Estimate.exact(inputs, x.columns());
    }
  }

  private Suspect suspect(Map<Integer, Answer> answers) {
    return Suspect.of(
        words(answers),
        evidence,
        row ->
            row.kind() == IndexRow.Kind.SLICE
                && Objects.requireNonNull(row.layer()) == layer
                && row.name().contains(".experts.")
                && answers.containsKey(row.expert()),
        (row, stored) -> {
          Answer answer = Objects.requireNonNull(answers.get(row.expert()));
          WeightMatrix matrix = stored.get(answer.candidate().source().apply(row));
          return row.name().contains(".down.") && answer.factor() != 1
              ? matrix.times(answer.factor())
              : matrix;
        });
  }

  /** What all answers together are called. */
  private String words(Map<Integer, Answer> answers) {
    Map<Integer, Integer> sources = new TreeMap<>();
    List<Integer> swapped = new ArrayList<>();
    Map<String, List<Integer>> others = new TreeMap<>();
    answers.forEach(
        (expert, answer) -> {
          if (answer.factor() != 1) {
            String factor = Figures.number(1 / answer.factor());
            add(others, "off by a factor of " + factor, expert);
          }
          int number = answer.candidate().number();
          switch (answer.candidate().kind()) {
            case EXPERT -> {
              if (number != expert) {
                sources.put(expert, number);
              }
            }
            case SWAPPED -> swapped.add(expert);
            case OF_LAYER -> add(others, "taken from layer " + number, expert);
          }
        });
    List<String> words = new ArrayList<>();
    if (!sources.isEmpty()) {
      words.add(new Assignment("experts", sources, moe.weighted()).words());
    }
    if (swapped.size() > SHOWN) {
      words.add("gate and up swapped in " + swapped.size() + " experts");
    } else if (!swapped.isEmpty()) {
      words.add("gate and up swapped in " + experts(swapped));
    }
    others.forEach((what, experts) -> words.add(experts(experts) + " " + what));
    return String.join(", ", words);
  }

  private static void add(Map<String, List<Integer>> others, String what, int expert) {
    others.computeIfAbsent(what, key -> new ArrayList<>()).add(expert);
  }

  private String experts(List<Integer> experts) {
    if (experts.size() == 1) {
      return "expert " + experts.getFirst();
    }
    return "experts " + experts.toString().replaceAll("[\\[\\]]", "");
  }
}
