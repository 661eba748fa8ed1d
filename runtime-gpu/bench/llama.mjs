#!/usr/bin/env node
// Measures llama.cpp, as npm's node-llama-cpp builds it, on a GGUF file: one line of JSON.

import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {resolve} from "node:path";
import {performance} from "node:perf_hooks";
import {pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const usage = `Usage: llama.mjs MODEL.gguf [--prompt TOKENS] [--decode TOKENS] [--batch TEXTS] [--reps N]
       llama.mjs MODEL.gguf --ids ID,… [--decode TOKENS]
Measures; or prints the likeliest continuation of a prompt.
  --threads N     default: 2
  --install DIR   where npm installed node-llama-cpp; default: this folder`;

function parse() {
    const text = (value) => ({type: "string", default: value});
    try {
        const {values, positionals} = parseArgs({
            allowPositionals: true,
            options: {
                threads: text("2"), prompt: text("128"), decode: text("64"), batch: text("1"), reps: text("3"),
                ids: {type: "string"}, install: text(".")
            }
        });
        const {install, ids, ...counts} = values;
        const settings = Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, Number(value)]));
        if (positionals.length === 1 && Object.values(settings).every((n) => Number.isInteger(n) && n > 0)) {
            return {file: resolve(positionals[0]), install: resolve(install), ids: ids?.split(",").map(Number), settings};
        }
    } catch (unknownOption) {
        console.error(unknownOption.message);
    }
    console.error(usage);
    process.exit(2);
}

/** Anonymous and file-backed memory that is resident now, in MB. */
function resident() {
    const status = readFileSync("/proc/self/status", "utf8");
    const mb = (field) => Math.round(Number(status.match(new RegExp(`${field}:\\s+(\\d+) kB`))[1]) * 1024 / 1e6);
    return {anonymous: mb("RssAnon"), file: mb("RssFile")};
}

/** The time that a share of all is no slower than. */
function quantile(times, share) {
    return times.toSorted((a, b) => a - b)[Math.ceil(share * (times.length - 1))];
}

/** Tokens at random, the same in each run: the likeliest ones of random weights soon repeat. */
function source(seed, vocabulary) {
    let state = seed;
    return (count) => Array.from({length: count}, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor(state / 2 ** 32 * vocabulary);
    });
}

function open(model, threads, sequences, length) {
    const batchSize = Math.max(512, sequences * length);
    return model.createContext({sequences, threads, contextSize: length, batchSize, ignoreMemorySafetyChecks: true});
}

async function continuation(model, ids, {threads, decode}) {
    const sequence = (await open(model, threads, 1, ids.length + decode)).getSequence();
    const found = [];
    for await (const token of sequence.evaluate(ids, {temperature: 0, yieldEogToken: true})) {
        if (found.push(token) === decode) {
            return found;
        }
    }
}

/** Milliseconds for one batch: the same number of tokens of each text, and the logits after the last. */
async function step(context, texts, from) {
    const started = performance.now();
    // Not sequence.evaluate(), whose bookkeeping takes a tenth of a small model's token.
    context.initBatch(texts.length * texts[0].length);
    texts.forEach((ids, text) => context.addToBatch(text, from, Uint32Array.from(ids), Uint32Array.of(ids.length - 1)));
    await context.decodeBatch();
    return performance.now() - started;
}

async function measurement(model, started, {threads, prompt, decode, batch, reps}) {
    const context = (await open(model, threads, batch, prompt + decode))._ctx;
    await step(context, [[1]], 0);
    const firstToken = performance.now() - started;

    const {metadata} = model.fileInfo;
    const next = source(1, metadata[metadata.general.architecture].vocab_size);
    const tokens = (count) => Array.from({length: batch}, () => next(count));
    const prefills = [];
    const steps = [];
    for (let rep = 0; rep < reps; rep++) {
        for (let text = 0; text < batch; text++) {
            context.disposeSequence(text);
        }
        prefills.push(await step(context, tokens(prompt), 0));
        for (let i = 0; i < decode; i++) {
            steps.push(await step(context, tokens(1), prompt + i));
        }
    }
    const rate = (count, ms) => Number((count * 1000 / ms).toFixed(1));
    return {
        first_token_ms: Math.round(firstToken),
        prefill_per_s: {median: rate(batch * prompt, quantile(prefills, 0.5)), best: rate(batch * prompt, quantile(prefills, 0))},
        decode_per_s: {median: rate(batch, quantile(steps, 0.5)), best_decile: rate(batch, quantile(steps, 0.1))}
    };
}

async function main({file, install, ids, settings}) {
    const entry = createRequire(`${install}/-`).resolve("node-llama-cpp");
    const {getLlama, LlamaLogLevel} = await import(pathToFileURL(entry));
    const llama = await getLlama({
        gpu: false, build: "never", skipDownload: true, maxThreads: settings.threads, logLevel: LlamaLogLevel.error
    });
    const before = resident();
    const started = performance.now();
    const model = await llama.loadModel({modelPath: file, useMmap: true, ignoreMemorySafetyChecks: true});
    if (ids) {
        return (await continuation(model, ids, settings)).join(" ");
    }
    const measured = await measurement(model, started, settings);
    return JSON.stringify({model: file, ...settings, ...measured, resident_mb: {before, after: resident()}});
}

try {
    console.log(await main(parse()));
    process.exit(0);
} catch (error) {
    console.error(error.message.split("\n")[0]);
    process.exit(1);
}
