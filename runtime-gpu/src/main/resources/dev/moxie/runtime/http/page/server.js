// Asks the server, and says in words what it will not do. The key is kept here and nowhere else.
let key = '';

export function useKey(given) {
  key = given;
}

/** What the server said instead of an answer, or that it said nothing. */
export class Refusal extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

const gone = (happened) =>
  new Refusal(0, `The server is gone: ${happened}. Start it again, or see whether the network reaches ${location.host}.`);

const WORDS = {
  401: () => 'The server asks for an API key, and this is none of its keys.',
  429: (said, wait) => `As many texts wait as may. Try again in ${wait} s.`,
  503: (said) => `The server cannot answer now: ${said}`,
};

async function refusal(response) {
  let said = `status ${response.status}.`;
  try {
    said = (await response.json()).error.message;
  } catch {
    // Not one of this server's own; the status says enough.
  }
  const wait = response.headers.get('Retry-After') ?? 'a few';
  return new Refusal(response.status, WORDS[response.status]?.(said, wait) ?? `The server refused: ${said}`);
}

async function ask(path, options = {}) {
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (failure) {
    throw failure.name === 'AbortError' ? failure : gone('nothing answers');
  }
  if (!response.ok) {
    throw await refusal(response);
  }
  return response;
}

/** The one model that is served. */
export async function model() {
  return (await (await ask('/v1/models')).json()).data[0];
}

export async function metrics() {
  return (await ask('/metrics')).text();
}

/** Yields the data of server-sent events: lines that begin with "data:". */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith('data: ')) {
        yield line.slice('data: '.length);
      }
    }
  }
}

/** Yields the pieces of a streamed answer, and throws if it does not come whole. */
export async function* stream(path, body, signal) {
  const response = await ask(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, stream_routed_experts: true }),
    signal,
  });
  try {
    for await (const data of events(response)) {
      if (data === '[DONE]') {
        return;
      }
      const json = JSON.parse(data);
      if (json.error) {
        throw new Refusal(503, WORDS[503](json.error.message));
      }
      yield json.choices[0];
    }
  } catch (failure) {
    throw failure instanceof Refusal || failure.name === 'AbortError' ? failure : gone('the answer was cut');
  }
  throw gone('the answer was cut');
}
