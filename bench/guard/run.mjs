// node run.mjs PROGRAM.wasm ROOT ARGUMENTS...: runs a WASI program under V8, which sees ROOT as `/`.
import fs from "node:fs";
import { WASI } from "node:wasi";

const [program, root, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args: [program, ...args], preopens: { "/": root } });
const module = await WebAssembly.compile(fs.readFileSync(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
wasi.start(instance);
