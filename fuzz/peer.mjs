// SPDX-License-Identifier: Apache-2.0
//
// The other side of a comparison: Node's V8. Reads requests from standard input,
//     module PATH            once or twice; the second may import from the first as "a"
//     call NAME ARGUMENT...
//     end
// and answers each with the log that fuzz/side.h describes, then "end".
import fs from 'node:fs';
import readline from 'node:readline';
import v8 from 'node:v8';

// Node.js 18, which is Debian 12's, has tail calls only if asked. On the command
// line a feature that a newer one no longer needs to be asked for is an error.
for (const feature of ['extended-const', 'relaxed-simd', 'return-call'])
    v8.setFlagsFromString('--experimental-wasm-' + feature);

const buffer = new DataView(new ArrayBuffer(8));
const letterOf = { 0x7f: 'i', 0x7e: 'I', 0x7d: 'f', 0x7c: 'F', 0x7b: 'v', 0x70: 'r', 0x6f: 'x' };
const hex = (value, digits) => value.toString(16).padStart(digits, '0');
const tokens = new Map(); // external references by number

function token(number) {
    if (!tokens.has(number))
        tokens.set(number, { number });
    return tokens.get(number);
}

function parseValue(text) {
    const [letter, value] = text.split(':');
    if (value === 'null')
        return null;
    if (letter === 'x')
        return token(value);
    const bits = BigInt('0x' + value);
    buffer.setBigUint64(0, letter === 'f' || letter === 'i' ? bits << 32n : bits);
    switch (letter) {
    case 'i': return buffer.getInt32(0);
    case 'I': return buffer.getBigInt64(0);
    case 'f': return buffer.getFloat32(0);
    case 'F': return buffer.getFloat64(0);
    }
    throw new Error('value ' + text);
}

function formatFloat(letter, value) {
    if (Number.isNaN(value))
        return letter + ':nan';
    if (letter === 'f') {
        buffer.setFloat32(0, value);
        return 'f:' + hex(buffer.getUint32(0), 8);
    }
    buffer.setFloat64(0, value);
    return 'F:' + hex(buffer.getBigUint64(0), 16);
}

function formatValue(letter, value) {
    switch (letter) {
    case 'i': return 'i:' + hex(value >>> 0, 8);
    case 'I': return 'I:' + hex(BigInt.asUintN(64, value), 16);
    case 'f':
    case 'F': return formatFloat(letter, value);
    case 'x': return value === null ? 'x:null' : 'x:' + value.number;
    default: return value === null ? 'r:null' : 'r:function';
    }
}

function formatValues(letters, values) {
    return values.map((value, i) => ' ' + formatValue(letters[i], value)).join('');
}

// ------------------------------------------------- the types of what is exported
// JavaScript does not tell them, so they are read from the module.

class Reader {
    constructor(bytes) {
        this.bytes = bytes;
        this.at = 8;
    }
    byte() {
        return this.bytes[this.at++];
    }
    u32() {
        let value = 0, shift = 0, byte;
        do {
            byte = this.byte();
            value |= (byte & 0x7f) << shift;
            shift += 7;
        } while (byte & 0x80);
        return value >>> 0;
    }
    take(count) {
        this.at += count;
        return this.bytes.subarray(this.at - count, this.at);
    }
    letters() {
        return Array.from(this.take(this.u32()), byte => letterOf[byte]).join('');
    }
}

function skipLimits(reader) {
    const flags = reader.byte();
    reader.u32();
    if (flags & 1)
        reader.u32();
}

function readImport(reader, functions, globals) {
    reader.take(reader.u32());
    reader.take(reader.u32());
    switch (reader.byte()) {
    case 0: functions.push(reader.u32()); break;
    case 1: reader.byte(); skipLimits(reader); break;
    case 2: skipLimits(reader); break;
    case 3: globals.push(letterOf[reader.byte()]); reader.byte(); break;
    default: reader.byte(); reader.u32(); // a tag
    }
}

function readModule(bytes) {
    const reader = new Reader(bytes), types = [], functions = [], globals = [], exports = [];
    const readers = {
        1: () => {
            reader.byte();
            types.push({ params: reader.letters(), results: reader.letters() });
        },
        2: () => readImport(reader, functions, globals),
        3: () => functions.push(reader.u32()),
        6: () => {
            globals.push(letterOf[reader.byte()]);
            reader.byte();
            skipConstant(reader);
        },
        7: () => {
            const name = Buffer.from(reader.take(reader.u32())).toString();
            exports.push({ name, kind: reader.byte(), index: reader.u32() });
        },
    };
    while (reader.at < bytes.length) {
        const id = reader.byte(), size = reader.u32(), end = reader.at + size;
        if (id in readers)
            for (let count = reader.u32(); count > 0; count--)
                readers[id]();
        reader.at = end;
    }
    for (const item of exports)
        item.type = item.kind === 0 ? types[functions[item.index]] : globals[item.index];
    return exports;
}

function skipConstant(reader) {
    for (;;) {
        const opcode = reader.byte();
        switch (opcode) {
        case 0x0b: return;
        case 0x23: case 0x41: case 0x42: case 0xd2: // an index or an integer
            while (reader.byte() & 0x80)
                ;
            break;
        case 0x43: reader.take(4); break;
        case 0x44: reader.take(8); break;
        case 0xd0: reader.take(1); break;
        case 0xfd: reader.u32(); reader.take(16); break;
        default: break; // arithmetic of extended constants
        }
    }
}

// ----------------------------------------------------------------------- running

const trapWords = [
    [/unreachable/, 'unreachable'],
    [/divide by zero|remainder by zero/, 'divide'],
    [/divide result unrepresentable|float unrepresentable/, 'overflow'],
    [/memory access out of bounds|data segment/, 'memory'],
    [/table index is out of bounds|table access|element segment|table initializer/, 'table'],
    [/null function or function signature/, 'signature'],
    [/unaligned/, 'unaligned'],
    [/Atomics.wait cannot/, 'shared'],
];

function formatError(error) {
    if (error instanceof WebAssembly.Exception)
        return 'trap exception';
    if (error instanceof RangeError && /call stack/.test(error.message))
        return 'stopped stack';
    if (error instanceof WebAssembly.RuntimeError)
        for (const [pattern, word] of trapWords)
            if (pattern.test(error.message))
                return 'trap ' + word;
    if (error instanceof TypeError)
        return 'trap host';
    return 'trap? ' + String(error).replace(/\n/g, ' ');
}

function makeImports(state) {
    const log = (name, letters) => (...values) => {
        state.lines.push('import ' + name + formatValues(letters, values));
    };
    const imports = {
        'log-i32': log('log-i32', 'i'), 'log-i64': log('log-i64', 'I'),
        'log-f32': log('log-f32', 'f'), 'log-f64': log('log-f64', 'F'),
        'log-ref': log('log-ref', 'x'), 'log-v128': () => { throw new TypeError('vector'); },
        hash() {
            if (state.instances.length === 0) {
                state.lines.push('hash early');
                return;
            }
            const words = new Int32Array(state.instances[0].exports.memory.buffer);
            let value = 0x811c9dc5 | 0;
            for (let i = 0; i < words.length; i++)
                value = Math.imul(value ^ words[i], 0x01000193);
            state.lines.push(`hash ${hex(value >>> 0, 8)} ${words.length * 4}`);
        },
        mix(a, b, number) {
            log('mix', 'iIF')(a, b, number);
            return b * 31n + BigInt(a >>> 0) + (number > 0.5 ? 7n : 0n);
        },
        twist(a) {
            log('twist', 'i')(a);
            return Math.imul(a, 0x9e3779b1) ^ 0x55;
        },
    };
    return { fuzz: imports, 'fuzzing-support': imports };
}

// "1:fa" is fa of the second module.
function findExport(state, fullName) {
    const index = fullName.startsWith('1:') && state.instances.length > 1 ? 1 : 0;
    const name = index > 0 ? fullName.slice(2) : fullName;
    const { type } = state.exports[index].find(item => item.name === name);
    return { type, call: state.instances[index].exports[name] };
}

function runCall(state, line) {
    const [, name, ...values] = line.split(' ');
    const { type, call } = findExport(state, name);
    try {
        let result = call(...values.map(parseValue));
        if (type.results.length < 2)
            result = type.results.length === 0 ? [] : [result];
        state.lines.push(name + ' ok' + formatValues(type.results, result));
    } catch (error) {
        state.lines.push(name + ' ' + formatError(error));
        return !state.lines.at(-1).includes(' stopped');
    }
    return true;
}

function putGlobals(state, index) {
    for (const item of state.exports[index])
        if (item.kind === 3 && item.type !== 'v') {
            const value = state.instances[index].exports[item.name].value;
            const name = (index > 0 ? '1:' : '') + item.name;
            state.lines.push(`global ${name} ${formatValue(item.type, value)}`);
        }
}

// Whether it can be used.
function instantiate(state, module) {
    const imports = makeImports(state);
    if (state.instances.length > 0)
        imports.a = state.instances[0].exports;
    try {
        state.instances.push(new WebAssembly.Instance(module, imports));
        state.lines.push('init ok');
        return true;
    } catch (error) {
        state.lines.push('init ' + formatError(error));
        return false;
    }
}

function run(paths, script) {
    const state = { lines: [], exports: [], instances: [] };
    const modules = [];
    try {
        for (const path of paths) {
            const bytes = fs.readFileSync(path);
            modules.push(new WebAssembly.Module(bytes));
            state.exports.push(readModule(bytes));
        }
    } catch (error) {
        return ['invalid ' + String(error).replace(/\n/g, ' ')];
    }
    for (const module of modules)
        if (!instantiate(state, module))
            return state.lines;
    for (const line of script)
        if (!runCall(state, line))
            return state.lines;
    state.instances.forEach((_, index) => putGlobals(state, index));
    return state.lines;
}

let paths = [], script = [];
readline.createInterface({ input: process.stdin }).on('line', line => {
    if (line.startsWith('module ')) {
        paths.push(line.slice(7));
    } else if (line === 'end') {
        process.stdout.write(run(paths, script).join('\n') + '\nend\n');
        paths = [];
        script = [];
    } else {
        script.push(line);
    }
});
