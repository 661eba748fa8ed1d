package dev.moxie.runtime.http;

import dev.moxie.runtime.execution.ExpertLoad;
import dev.moxie.runtime.execution.PlainModel;
import dev.moxie.runtime.plain.ExpertMemory;
import dev.moxie.runtime.serve.Scheduler;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Timer;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * What goes on, for Prometheus; by vLLM's names where the meaning is the same ({@code
 * vllm/v1/metrics/loggers.py}), so that its dashboards show this server as well.
 */
public final class Metrics implements Scheduler.Meter {
  private static final Duration[] SECONDS = {
    Duration.ofMillis(1),
    Duration.ofMillis(5),
    Duration.ofMillis(10),
    Duration.ofMillis(25),
    Duration.ofMillis(50),
    Duration.ofMillis(100),
    Duration.ofMillis(250),
    Duration.ofMillis(500),
    Duration.ofSeconds(1),
    Duration.ofMillis(2500),
    Duration.ofSeconds(5),
    Duration.ofSeconds(10),
    Duration.ofSeconds(30),
    Duration.ofSeconds(60)
  };

  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final AtomicLong running = new AtomicLong();
  private final AtomicLong waiting = new AtomicLong();
  private final AtomicLong bytes = new AtomicLong();
  private final Counter prompt;
  private final Counter reused;
  private final Counter generated;
  private final Counter passed;
  private final Counter steps;
  private final Timer stepTime;
  private final Timer first;
  private final Timer between;
  private final Timer whole;
  private final List<Sample> samples = new CopyOnWriteArrayList<>();

  /** A total of the scheduler's thread, as it was after the last step. */
  private record Sample(LongSupplier total, AtomicLong last) {}

  /**
   * Of one model.
   *
   * @param model its name, the label of everything
   * @param cacheBytes that tokens may take
   */
  public Metrics(String model, long cacheBytes) {
    registry.config().commonTags("model_name", model);
    registry.gauge("vllm:num_requests_running", running);
    registry.gauge("vllm:num_requests_waiting", waiting);
    registry.gauge("vllm:kv_cache_usage_perc", bytes, b -> (double) b.get() / cacheBytes);
    registry.gauge("moxie_cache_bytes", bytes);
    prompt = registry.counter("vllm:prompt_tokens");
    generated = registry.counter("vllm:generation_tokens");
    reused = registry.counter("vllm:prefix_cache_hits");
    passed = registry.counter("moxie_step_tokens");
    steps = registry.counter("moxie_steps");
    stepTime = timer("moxie_step_seconds");
    first = timer("vllm:time_to_first_token_seconds");
    between = timer("vllm:inter_token_latency_seconds");
    whole = timer("vllm:e2e_request_latency_seconds");
    ProcessMetrics.register(registry);
  }

  private Timer timer(String name) {
    return Timer.builder(name).serviceLevelObjectives(SECONDS).register(registry);
  }

  /**
   * Counts the bytes of weights that a model reads.
   *
   * @param experts where these are kept; null where the system keeps what it can
   */
  public void count(PlainModel model, @Nullable ExpertMemory experts) {
    count("moxie_weight_bytes", model::weightBytes);
    if (experts != null) {
      count("moxie_expert_chosen_bytes", () -> experts.hits().chosenBytes());
      count("moxie_expert_resident_bytes", () -> experts.hits().residentBytes());
    }
  }

  /** Counts tokens that are guessed: drafts of one token each. */
  public void countGuesses(Scheduler scheduler) {
    count("vllm:spec_decode_num_drafts", scheduler::guesses);
    count("vllm:spec_decode_num_draft_tokens", scheduler::guesses);
    count("vllm:spec_decode_num_accepted_tokens", scheduler::rightGuesses);
  }

  private void count(String name, LongSupplier total) {
    var sample = new Sample(total, new AtomicLong());
    samples.add(sample);
    FunctionCounter.builder(name, sample.last(), AtomicLong::get).register(registry);
  }

  /**
   * Shows how a model's experts are used.
   *
   * @param each whether tokens are counted by expert, too: as many series as the model has experts
   */
  public void show(ExpertLoad load, boolean each) {
    ExpertMetrics.register(registry, load, each);
  }

  @Override
  public void stepped(int tokens, long nanoseconds) {
    steps.increment();
    passed.increment(tokens);
    stepTime.record(Duration.ofNanos(nanoseconds));
  }

  @Override
  public void now(int running, int waiting, long bytes) {
    this.running.set(running);
    this.waiting.set(waiting);
    this.bytes.set(bytes);
    samples.forEach(sample -> sample.last().set(sample.total().getAsLong()));
  }

  /** A request ended well. */
  void answered(String finish) {
    registry.counter("vllm:request_success", "finished_reason", finish).increment();
  }

  /** What a request took. */
  void tokens(int prompts, int fromCache, int completion) {
    prompt.increment(prompts);
    reused.increment(fromCache);
    generated.increment(completion);
  }

  void first(long nanoseconds) {
    first.record(Duration.ofNanos(nanoseconds));
  }

  void between(long nanoseconds) {
    between.record(Duration.ofNanos(nanoseconds));
  }

  void whole(long nanoseconds) {
    whole.record(Duration.ofNanos(nanoseconds));
  }

  /** A request was answered with a status. */
  void responded(String path, int status) {
    registry
        .counter("moxie_http_responses", "path", path, "status", String.valueOf(status))
        .increment();
  }

  String text() {
    return registry.scrape();
  }
}
