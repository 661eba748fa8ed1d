// How a server that speaks OpenAI's interface answers many clients at once.
//
//     node serve.mjs http://127.0.0.1:8080/v1 [clients,...] [seconds] [tokens] [prompt words] [vocabulary]
//
// Each client asks for one streamed completion after the other, each with a prompt of its own, until time is up: words, or,
// where a vocabulary is given, tokens drawn from it. Printed are tokens per second of all together, of the slowest and of the
// fastest client, and the time to the first token.
const [base, counts = "1,4,16,64", seconds = "10", tokens = "64", words = "32", vocabulary] = process.argv.slice(2);
const model = (await (await fetch(`${base}/models`)).json()).data[0].id;
const WORDS = "time once upon a bear lived in the meadow and said that nobody would ever find her there again".split(" ");

function prompt(client, round) {
  let state = client * 7919 + round * 104729 + 1;
  const next = () => (state = (state * 1103515245 + 12345) % 2147483648);
  const draw = (most) => Array.from({ length: Number(words) }, () => next() % most);
  return vocabulary ? draw(Number(vocabulary)) : draw(WORDS.length).map((word) => WORDS[word]).join(" ");
}

async function ask(client, round, until, seen) {
  const start = performance.now();
  const response = await fetch(`${base}/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model, prompt: prompt(client, round), max_tokens: Number(tokens), temperature: 1, seed: round, stream: true, ignore_eos: true,
      stream_options: { include_usage: true },
    }),
  });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  let rest = "", first = 0, written = 0;
  for await (const bytes of response.body) {
    const lines = (rest + Buffer.from(bytes).toString()).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: {")) continue;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new Error(JSON.stringify(event.error));
      if (event.choices.length && !first) first = performance.now() - start;
      if (event.usage) written = event.usage.completion_tokens;
    }
  }
  seen.first.push(first);
  seen.tokens += written;
}

for (const count of counts.split(",").map(Number)) {
  const start = performance.now(), until = start + 1000 * Number(seconds);
  const all = Array.from({ length: count }, () => ({ first: [], tokens: 0, errors: 0, seconds: 0 }));
  await Promise.all(all.map(async (seen, client) => {
    for (let round = 0; performance.now() < until; round++) {
      await ask(client, round, until, seen).catch((e) => { if (!seen.errors++) console.error(String(e)); });
    }
    seen.seconds = (performance.now() - start) / 1000;
  }));
  const rates = all.map((seen) => seen.tokens / seen.seconds).sort((a, b) => a - b);
  const firsts = all.flatMap((seen) => seen.first).sort((a, b) => a - b);
  const errors = all.reduce((sum, seen) => sum + seen.errors, 0);
  console.log(
    `${String(count).padStart(3)} clients ${rates.reduce((a, b) => a + b, 0).toFixed(0).padStart(6)} tokens/s, slowest ` +
    `${rates[0].toFixed(1)}, fastest ${rates.at(-1).toFixed(1)}; first token ${firsts[firsts.length >> 1].toFixed(0)} ms, ` +
    `nine of ten within ${firsts[Math.floor(firsts.length * 0.9)].toFixed(0)} ms; ${firsts.length} answers, ${errors} errors`);
}
