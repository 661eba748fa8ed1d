#!/usr/bin/env node
// Serves a GGUF file by llama.cpp, as npm's node-llama-cpp builds it: as much of OpenAI's interface as serve.mjs asks for.

import {createServer} from "node:http";
import {createRequire} from "node:module";
import {resolve} from "node:path";
import {pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const usage = `Usage: serve-llama.mjs MODEL.gguf [--port N] [--threads N] [--texts N] [--length TOKENS] [--install DIR]
POST /v1/completions continues tokens ("prompt"), streamed, each token drawn at temperature 1; texts are decoded together.`;

function parse() {
    const text = (value) => ({type: "string", default: value});
    try {
        const {values, positionals} = parseArgs({
            allowPositionals: true,
            options: {port: text("8090"), threads: text("2"), texts: text("16"), length: text("256"), install: text(".")}
        });
        const {install, ...numbers} = values;
        const settings = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Number(value)]));
        if (positionals.length === 1 && Object.values(settings).every((n) => Number.isInteger(n) && n > 0)) {
            return {file: resolve(positionals[0]), install: resolve(install), ...settings};
        }
    } catch (unknownOption) {
        console.error(unknownOption.message);
    }
    console.error(usage);
    process.exit(2);
}

const {file, install, port, threads, texts, length} = parse();
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(createRequire(`${install}/-`).resolve("node-llama-cpp")));
const llama = await getLlama({gpu: false, build: "never", skipDownload: true, maxThreads: threads, logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: file, useMmap: true, ignoreMemorySafetyChecks: true});
const context = await model.createContext({sequences: texts, threads, contextSize: length, batchSize: 512, ignoreMemorySafetyChecks: true});

async function complete({prompt, max_tokens: limit, seed}, response) {
    response.writeHead(200, {"content-type": "text/event-stream"});
    const send = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);
    const sequence = context.getSequence();
    try {
        let written = 0;
        for await (const token of sequence.evaluate(prompt, {temperature: 1, seed, yieldEogToken: true})) {
            send({choices: [{index: 0, text: "", token_ids: [token]}]});
            if (++written === limit) {
                break;
            }
        }
        send({choices: [], usage: {prompt_tokens: prompt.length, completion_tokens: written}});
    } finally {
        sequence.dispose();
    }
    response.end("data: [DONE]\n\n");
}

createServer(async (request, response) => {
    if (request.method === "GET") {
        response.end(JSON.stringify({data: [{id: file}]}));
        return;
    }
    const parts = [];
    for await (const part of request) {
        parts.push(part);
    }
    complete(JSON.parse(Buffer.concat(parts).toString()), response).catch((error) => response.destroy(error));
}).listen(port, "127.0.0.1", () => console.log(`${file} at http://127.0.0.1:${port}/v1`));
