// SPDX-License-Identifier: Apache-2.0
//
// Runs a WASI module with threads in Node, each in a worker of its own:
//
//       node tests/sdk/threads.mjs MODULE.wasm [ARGUMENT...]
//
// The first worker runs _start. Who spawns a thread gives it a number and leaves the rest to
// the main thread, which never blocks.
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

const PROCESSORS = 2;

// Initial and maximal pages of the memory that the module imports.
function memory_limits(bytes) {
    let at = 8;
    const number = () => {
        let value = 0;
        for (let shift = 0; ; shift += 7) {
            const byte = bytes[at++];
            value += (byte & 127) * 2 ** shift;
            if (byte < 128) return value;
        }
    };
    const skip_name = () => {
        const count = number();
        at += count;
    };
    while (at < bytes.length) {
        const section = bytes[at++];
        const end = number() + at;
        if (section !== 2) {
            at = end;
            continue;
        }
        for (let count = number(); count > 0; count--) {
            skip_name();
            skip_name();
            const kind = bytes[at++];
            if (kind === 0) {
                number();
            } else if (kind === 2) {
                at++;
                return { initial: number(), maximum: number(), shared: true };
            } else {
                throw new Error("an import that is no function and no memory");
            }
        }
    }
    throw new Error("the module imports no memory");
}

function run(data) {
    const wasi = new WASI({ version: "preview1", args: data.args, env: process.env,
        returnOnExit: data.block === undefined, preopens: { "/": data.root } });
    const spawn = (block) => {
        const tid = Atomics.add(data.numbers, 0, 1) + 1;
        parentPort.postMessage({ tid, block });
        return tid;
    };
    const instance = new WebAssembly.Instance(data.module, {
        ...wasi.getImportObject(),
        env: { memory: data.memory },
        wasi: { "thread-spawn": spawn },
        weft: { processors: () => PROCESSORS },
    });
    if (data.block === undefined)
        return wasi.start({ exports: { ...instance.exports, memory: data.memory } });
    wasi.initialize({ exports: { memory: data.memory } });
    instance.exports.wasi_thread_start(data.tid, data.block);
    parentPort.postMessage("over");
    return 0;
}

if (isMainThread) {
    const bytes = readFileSync(process.argv[2]);
    const shared = {
        module: new WebAssembly.Module(bytes),
        memory: new WebAssembly.Memory(memory_limits(bytes)),
        numbers: new Int32Array(new SharedArrayBuffer(4)),
        args: process.argv.slice(2),
        root: process.env.SDK_ROOT ?? "/tmp",
    };
    const start = (extra) => {
        const workerData = { ...shared, ...extra };
        const worker = new Worker(new URL(import.meta.url), { workerData });
        let is_over = false;
        worker.on("message", (message) => {
            if (message === "over") is_over = true;
            else start(message);
        });
        worker.on("error", (error) => {
            console.error(error);
            process.exit(99);
        });
        worker.on("exit", (code) => {
            if (!is_over) process.exit(code);
        });
    };
    start({});
} else {
    process.exit(run(workerData));
}
