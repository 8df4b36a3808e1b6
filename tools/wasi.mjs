// SPDX-License-Identifier: Apache-2.0
//
// Runs a WASI program in Node.js, as a peer to compare with:
//
//      node wasi.mjs [--dir HOST:GUEST]... [--env NAME=VALUE]... FILE.wasm ARGUMENT...
import { WASI } from 'node:wasi';
import fs from 'node:fs';
import os from 'node:os';

const words = process.argv.slice(2);
const preopens = {};
const env = {};

while (words.length > 0 && words[0].startsWith('--')) {
    const option = words.shift();
    const value = words.shift();
    const cut = value.indexOf(option === '--dir' ? ':' : '=');

    if (option === '--dir')
        preopens[cut < 0 ? value : value.slice(cut + 1)] = cut < 0 ? value : value.slice(0, cut);
    else if (option === '--env')
        env[value.slice(0, cut)] = value.slice(cut + 1);
    else
        throw new Error(`unknown option ${option}`);
}

const module = await WebAssembly.compile(fs.readFileSync(words[0]));
const isOld = WebAssembly.Module.imports(module).some((i) => i.module === 'wasi_unstable');
const wasi = new WASI({
    version: isOld ? 'unstable' : 'preview1', args: words, env, preopens, returnOnExit: true,
});

// Node.js 18 has no getImportObject.
const imports = wasi.getImportObject?.() ??
    { [isOld ? 'wasi_unstable' : 'wasi_snapshot_preview1']: wasi.wasiImport };

imports.weft = { processors: () => os.cpus().length };

process.exitCode = wasi.start(await WebAssembly.instantiate(module, imports));
