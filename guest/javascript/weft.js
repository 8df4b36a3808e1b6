// SPDX-License-Identifier: Apache-2.0
//
// Weft for JavaScript.
//
//     import * as weft from "weft";
//
//     export function handler(data) {
//         const calls = weft.text(data).split(" ").map((n) => weft.chain("square", n));
//         return weft.gather(calls).map((r) => Number(weft.text(r)));
//     }
//
// `weft deploy f.js` makes a function of such a file, which is a module. Its code outside of
// functions runs once, before any call; the memory that it leaves is what each call starts
// from, and no call sees what another one did. A call is handler(data), with the input as a
// Uint8Array; or, where the file has that instead, handleJson(value), with the input as JSON.
// Either may be async.
//
// What it returns is the result: a Uint8Array as it is, a string as UTF-8, undefined as
// nothing, all else as JSON. output() appends to the result before that. print() writes to
// standard output, which whoever calls gets where there is no result; console.log() and its
// like go to the log. An exception is its stack in the log and exit code 1; exit(code) ends
// the call with that code.
//
// There are no timers and no events: a promise that nothing in the file settles is an error.

const { __weft_open, __weft_read, __weft_write, __weft_sync, __weft_close } = globalThis;
const { __weft_exit, __weft_fill, __weft_encode, __weft_decode, __weft_collect } = globalThis;

for (const name of Object.keys(globalThis).concat(
    ["open", "read", "write", "sync", "close", "exit", "fill", "encode", "decode", "collect"].map(
        (n) => "__weft_" + n)))
    if (name.startsWith("__weft_"))
        delete globalThis[name];

const DEVICE = "/dev/weft/";
const E = { E2BIG: 1, EAGAIN: 6, EINVAL: 28, EIO: 29, ELOOP: 32, EMFILE: 33, ENFILE: 41,
            ENOENT: 44, ENOSYS: 52 };
const FULL = [E.EMFILE, E.ENFILE, E.EAGAIN];

let currentInput = null;
let result = -1; // where the result is written; -1: a run without a cell
let lastTag = 0;

// A call that did not end well: status is one of exit, trap, limit, cancelled, failed and
// lost; code is the exit code, or a number of errno where it failed.
export class WeftError extends Error {
    constructor(status, code, message) {
        super(message || `${status} ${code}`);
        this.name = "WeftError";
        this.status = status;
        this.code = code;
    }
}

// What WASI refuses: errno is its number.
export class SystemError extends Error {
    constructor(errno, what) {
        super(`${what}: error ${errno} of WASI`);
        this.name = "SystemError";
        this.errno = errno;
    }
}

// ------------------------------------------------------------------------ bytes and files

// Bytes as the text that they are in UTF-8, and back.
export const text = (bytes) => __weft_decode(asBytes(bytes));
export const bytes = (string) => __weft_encode(String(string));

function asBytes(data) {
    if (data instanceof Uint8Array)
        return data;
    if (data instanceof ArrayBuffer)
        return new Uint8Array(data);
    if (ArrayBuffer.isView(data))
        return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (typeof data === "string")
        return __weft_encode(data);
    return __weft_encode(JSON.stringify(data) ?? "null");
}

function check(number, what) {
    if (typeof number === "number" && number < 0)
        throw new SystemError(-number, what);
    return number;
}

function readAll(fd, what) {
    const parts = [];
    let count = 0;

    for (;;) {
        const part = check(__weft_read(fd), what);

        if (part.length === 0)
            break;
        parts.push(part);
        count += part.length;
    }
    if (parts.length === 1)
        return parts[0];
    const all = new Uint8Array(count);
    for (let i = 0, at = 0; i < parts.length; at += parts[i++].length)
        all.set(parts[i], at);
    return all;
}

function withFile(path, mode, use) {
    const fd = check(__weft_open(path, mode), path);
    let answer;

    try {
        answer = use(fd);
    } catch (error) {
        __weft_close(fd);
        throw error;
    }
    check(__weft_close(fd), path); // what was written to /state is saved here
    return answer;
}

// A file as a Uint8Array; data (as a result may be) into a file, or at its end.
export const readFile = (path) => withFile(path, "r", (fd) => readAll(fd, path));
export const writeFile = (path, data) =>
    void withFile(path, "w", (fd) => check(__weft_write(fd, asBytes(data)), path));
export const appendFile = (path, data) =>
    void withFile(path, "a", (fd) => check(__weft_write(fd, asBytes(data)), path));

// ------------------------------------------------------------------------------- this call

// What this call was given, as a Uint8Array.
export function input() {
    if (currentInput === null)
        throw new Error("there is no input before a call begins");
    return currentInput;
}

// Appends to the result.
export function output(data) {
    check(__weft_write(result >= 0 ? result : 1, asBytes(data)), "result");
}

// Who this is: call, function, tenant and version.
export const identity = () => JSON.parse(text(readFile(DEVICE + "identity")));

// Seconds until this call is stopped; null: it is not.
export function deadlineLeft() {
    const left = text(readFile(DEVICE + "deadline"));

    return left === "" ? null : Number(left) / 1e9;
}

const oneLine = (what) => String(what).split(/[\r\n]+/).join(" ");

// One line of the log, "info: text".
export const log = (what, level = "info") =>
    void __weft_write(2, __weft_encode(`${level}: ${oneLine(what)}\n`));

export const exit = (code = 0) => __weft_exit(code);

// ----------------------------------------------------------------------------- other calls

function noStart(name, error) {
    const messages = {
        [E.ENOENT]: `there is no function ${name}`,
        [E.EINVAL]: `no function can have the name ${JSON.stringify(name)}`,
        [E.EMFILE]: "too many calls at a time: take the results of some, or close them",
        [E.EAGAIN]: "the tenant has too many calls at a time",
        [E.ELOOP]: "calls that started calls that started calls: too deep",
        [E.E2BIG]: "the input is too large",
        [E.ENOSYS]: "here nobody starts calls",
    };

    if (!(error instanceof SystemError))
        return error;
    return new WeftError("failed", error.errno, messages[error.errno] ?? error.message);
}

// A call of another function. It runs from start() on, or from the first result().
export class Call {
    #name;
    #data;
    #kind;
    #fd = -1;
    #tag = 0;
    #isStarted = false;
    #result = null;

    constructor(name, data, isDetached) {
        this.#name = name;
        this.#data = asBytes(data);
        this.#kind = isDetached ? "detached" : "call";
    }

    get name() {
        return this.#name;
    }

    get hasResult() {
        return this.#result !== null;
    }

    // As start, with WASI's errors.
    begin() {
        if (this.#fd < 0) {
            this.#tag = ++lastTag;
            this.#fd = check(__weft_open(`${DEVICE}${this.#kind}:${this.#tag}/${this.#name}`, "+"),
                             this.#name);
            check(__weft_write(this.#fd, this.#data), this.#name);
        }
        if (!this.#isStarted) {
            check(__weft_sync(this.#fd), this.#name);
            this.#isStarted = true;
        }
    }

    // Lets it run, beside this call and others that are started.
    start() {
        if (this.#result === null) {
            try {
                this.begin();
            } catch (error) {
                throw noStart(this.#name, error);
            }
        }
        return this;
    }

    // How it ended: status, code and message. Waits at most so many seconds; its status is
    // "running" then.
    end(timeout) {
        this.start();
        const wait = timeout === undefined ? "" : `/${Math.floor(timeout * 1e9)}`;
        return JSON.parse(text(readFile(`${DEVICE}end:${this.#tag}${wait}`)));
    }

    // What it answers, as a Uint8Array: its result, or where there is none what it printed.
    // Throws a WeftError where it did not end well, or (status "running") has not ended.
    result(timeout) {
        if (this.#result !== null)
            return this.#result;
        this.start();
        if (timeout !== undefined && this.end(timeout).status === "running")
            throw new WeftError("running", 0, `${this.#name} has not ended after ${timeout} s`);
        try {
            const answer = readAll(this.#fd, this.#name);

            this.#result = answer.length > 0 ? answer : this.printed();
        } catch (error) {
            const end = this.end();

            if (!(error instanceof SystemError) || error.errno !== E.EIO || end.status === "done")
                throw error;
            throw new WeftError(end.status, end.code, end.message);
        }
        return this.#result;
    }

    // The same, as a string, and as JSON.
    text(timeout) {
        return text(this.result(timeout));
    }
    json(timeout) {
        return JSON.parse(this.text(timeout));
    }

    // What it wrote to standard output, and to standard error. Waits for its end.
    printed() {
        this.start();
        return readFile(`${DEVICE}output:${this.#tag}`);
    }
    log() {
        this.start();
        return readFile(`${DEVICE}log:${this.#tag}`);
    }

    // Forgets it; one that runs still is cancelled, unless it is detached.
    close() {
        if (this.#fd >= 0)
            __weft_close(this.#fd);
        this.#fd = -1;
        this.#isStarted = false;
    }
}

// A call of the function "name", "name:alias" or "tenant/name", with this input.
export const chain = (name, data = "", { detached = false } = {}) => new Call(name, data, detached);

// Its result, and then it is forgotten: weft.await(weft.chain("square", "3")).
function awaitCall(call, timeout) {
    const answer = call.result(timeout);

    call.close();
    return answer;
}
export { awaitCall as await };

// Their results, in their order. All run at the same time, or as many as may. With
// returnErrors a WeftError takes the place of its result; without, the first is thrown.
export function gather(calls, { returnErrors = false } = {}) {
    const all = [...calls], results = all.map(() => null);
    let taken = 0;

    const keep = (place, error) => {
        if (!returnErrors || !(error instanceof WeftError))
            throw error;
        results[place] = error;
    };
    const take = () => {
        const call = all[taken];

        if (results[taken] === null) { // else it could not be started
            try {
                results[taken] = call.result();
            } catch (error) {
                keep(taken, error);
            }
        }
        call.close();
        taken++;
    };
    for (let place = 0; place < all.length; place++) {
        while (!all[place].hasResult) {
            try {
                all[place].begin();
                break;
            } catch (error) {
                if (!(error instanceof SystemError) || !FULL.includes(error.errno) ||
                    taken === place) {
                    keep(place, noStart(all[place].name, error));
                    break;
                }
                take();
            }
        }
    }
    while (taken < all.length)
        take();
    return results;
}

// ----------------------------------------------------------------------------------- state

// What the state of the tenant refuses: errno is WASI's number, code its name.
export class StateError extends SystemError {
    constructor(errno, key) {
        const [code, what] = STATE_ERRORS[errno] ?? ["", "it is refused"];

        super(errno, `${key}: ${what}`);
        this.name = "StateError";
        this.code = code;
    }
}

const STATE_ERRORS = {
    [E.ENOENT]: ["ENOENT", "there is no such key"],
    [E.EAGAIN]: ["EAGAIN", "it has another version, or the lock is taken"],
    [E.EIO]: ["EIO", "the tier did not answer: it has happened once or not at all"],
    [E.EINVAL]: ["EINVAL", "no such key, number or part of a value"],
    [E.ENOSYS]: ["ENOSYS", "there is no state here"],
    [E.E2BIG]: ["E2BIG", "at most 32 MiB at a time"],
    19: ["EDQUOT", "more than the tenant may have"],
    31: ["EISDIR", "it is a log"],
    37: ["ENAMETOOLONG", "a key has at most 255 bytes"],
    54: ["ENOTDIR", "it is no log"],
    72: ["ESTALE", "the lock was lost"],
    73: ["ETIMEDOUT", "it did not come in time"],
};

const PART = 8 << 20;
let talk = -1;

// One request, and its answer: the numbers of its line and the bytes after that
// (src/hostcall/keys_talk.c).
function ask(operation, key, numbers = [], data = "") {
    const name = bytes(key), payload = asBytes(data);
    const line = bytes([operation, name.length, ...numbers].join(" ") + "\n");
    const request = new Uint8Array(line.length + name.length + payload.length);
    const good = (number) => {
        if (typeof number === "number" && number < 0)
            throw new StateError(-number, key);
        return number;
    };

    if (talk < 0) {
        talk = __weft_open(DEVICE + "state", "+");
        good(talk === -E.ENOENT ? -E.ENOSYS : talk); // a run without a cell
    }
    request.set(line);
    request.set(name, line.length);
    request.set(payload, line.length + name.length);
    good(__weft_write(talk, request));
    const answer = readAll(talk, key), end = answer.indexOf(10);
    const words = text(answer.subarray(0, end < 0 ? 0 : end)).split(" ");
    return { words, numbers: words.map(number), bytes: answer.slice(end + 1) };
}

// A BigInt only where it must be one.
function number(word) {
    const value = Number(word);

    return Number.isSafeInteger(value) ? value : BigInt(word);
}

const ns = (seconds) => (seconds === undefined ? -1 : Math.floor(seconds * 1e9));

function addDouble(key, value, offset, size) {
    const view = new DataView(new ArrayBuffer(8));

    view.setFloat64(0, value);
    view.setBigUint64(0, BigInt(ask("addf", key, [offset, size, view.getBigUint64(0)]).words[0]));
    return view.getFloat64(0);
}

// State that all calls of the tenant share, on all hosts (docs/state.md): values by keys, with
// versions, and logs of records. Data may be what a result may be; what comes back is a
// Uint8Array. Large values are also files: readFile("/state/KEY"). Throws StateError.
export const state = {
    // All of it, or `count` bytes from an offset; of one version, or EAGAIN.
    get(key, { offset = 0, count = Infinity } = {}) {
        const parts = [];
        let version = null, at = offset, size = 0;

        do {
            const part = ask("get", key, [at, Math.min(PART, offset + count - at)]);

            if (version !== null && version !== part.words[0])
                throw new StateError(E.EAGAIN, key);
            [version] = part.words;
            size = Math.min(part.numbers[1], offset + count);
            parts.push(part.bytes);
            at += part.bytes.length;
        } while (at < size);
        if (parts.length === 1)
            return parts[0];
        const all = new Uint8Array(at - offset);
        for (let i = 0, to = 0; i < parts.length; to += parts[i++].length)
            all.set(parts[i], to);
        return all;
    },
    set: (key, data) => void ask("set", key, [], data),
    // The new version. EAGAIN: its version is not this (0: there is none).
    cas: (key, expected, data) => ask("cas", key, [expected], data).numbers[0],
    // The sum; of a float of 8 bytes with { as: "f64" }, else of an integer. Where there is no
    // value it is made of `size` zeros (0: ENOENT).
    add: (key, value = 1, { as = "i64", offset = 0, size = 8 } = {}) =>
        as === "f64" ? addDouble(key, value, offset, size)
                     : ask("add", key, [offset, size, value]).numbers[0],
    // The index of the record; records from an index on, as many as make 1 MiB, or so many.
    append: (key, data) => ask("append", key, [], data).numbers[0],
    read(key, index = 0, count = 0) {
        const { numbers: [, ...lengths], bytes: all } = ask("read", key, [index, count, 1 << 20]);
        let at = 0;

        return lengths.map((length) => all.slice(at, (at += length)));
    },
    trim: (key, before) => void ask("trim", key, [before]),
    remove: (key) => void ask("remove", key),
    expire: (key, seconds) => void ask("expire", key, [seconds === undefined ? 0 : ns(seconds)]),
    stat(key) {
        const [size, version, lives, isLog, isCurrent] = ask("stat", key).numbers;

        return { size, version, lives: lives ? Number(lives) / 1e9 : null, isLog: isLog === 1,
                 isCurrent: isCurrent === 1 };
    },
    // Keys with this prefix, in order.
    *list(prefix = "", after = "") {
        for (;;) {
            const { numbers: [count], bytes: keys } = ask("list", prefix, [0], after);

            if (count === 0)
                return;
            for (after of text(keys).split("\0").slice(0, count))
                yield after;
        }
    },
    // The version, once it is above this. ETIMEDOUT, or EAGAIN with 0 seconds.
    watch: (key, above = 0, seconds) => ask("watch", key, [above, ns(seconds)]).numbers[0],
    // What use() gives, under a lock on all hosts, or among the calls of this host.
    lock(key, use, { write = true, here = false, seconds } = {}) {
        const how = (write ? 1 : 0) | (here ? 2 : 0);
        let answer;

        ask("lock", key, [how, ns(seconds)]);
        const unlock = () => void ask("unlock", key, [how]);
        try {
            answer = use();
        } catch (error) {
            unlock();
            throw error;
        }
        if (answer instanceof Promise)
            return answer.finally(unlock);
        unlock();
        return answer;
    },
};

// ------------------------------------------------------------- what other runtimes also have

function shown(value) {
    if (typeof value === "string")
        return value;
    if (value instanceof Error)
        return `${value}\n${value.stack ?? ""}`.trimEnd();
    if (typeof value === "object" && value !== null) {
        try {
            return JSON.stringify(value) ?? String(value);
        } catch {
            return String(value);
        }
    }
    return String(value);
}

const write = (fd, values) => void __weft_write(fd, __weft_encode(values.map(shown).join(" ") + "\n"));

export const print = (...values) => write(1, values);

const random = new Uint32Array(256);
let randomLeft = 0;

// One of the host's numbers each: Math.random's own state would be the same in every call.
function randomWord() {
    if (randomLeft === 0) {
        __weft_fill(new Uint8Array(random.buffer));
        randomLeft = random.length;
    }
    return random[--randomLeft];
}

Math.random = () => ((randomWord() >>> 5) * 67108864 + (randomWord() >>> 6)) / 9007199254740992;

globalThis.print = print;
globalThis.console = Object.fromEntries(
    ["log", "info", "warn", "error", "debug", "trace"].map((name) => [name, (...v) => write(2, v)]));
globalThis.crypto = {
    getRandomValues(array) {
        check(__weft_fill(asBytes(array)), "random");
        return array;
    },
};
globalThis.TextEncoder = class TextEncoder {
    get encoding() {
        return "utf-8";
    }
    encode(string = "") {
        return bytes(string);
    }
};
globalThis.TextDecoder = class TextDecoder {
    get encoding() {
        return "utf-8";
    }
    decode(data = new Uint8Array(0)) {
        return text(data);
    }
};

// --------------------------------------------------------------- how a function is started

function handlerOf(module, path) {
    for (const handler of [module.handler, module.default])
        if (typeof handler === "function")
            return handler;
    if (typeof module.handleJson === "function")
        return async (data) => {
            const value = await module.handleJson(data.length > 0 ? JSON.parse(text(data)) : null);

            return JSON.stringify(value) ?? "null";
        };
    console.error(`${path} exports neither handler(data) nor handleJson(value)`);
    return exit(1);
}

// Where it was thrown, without the lines of this file.
function fail(error) {
    const stack = error instanceof Error ? (error.stack ?? "") : "";
    const lines = stack.split("\n").filter((line) => line !== "" && !/\(?weft:\d/.test(line));

    write(2, [[String(error), ...lines].join("\n")]);
    return exit(1);
}

// The place where a Proto-Faaslet is made is the first read of descriptor 0.
export async function _main(module, path) {
    const handler = handlerOf(module, path);

    result = __weft_open(DEVICE + "result", "a");
    __weft_collect();
    currentInput = readAll(0, "input");
    randomLeft = 0;
    try {
        const answer = await handler(currentInput);

        if (answer !== undefined)
            output(answer);
    } catch (error) {
        fail(error);
    }
}
