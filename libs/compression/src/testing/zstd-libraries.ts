import * as zlib from "node:zlib";
import type { Codec } from "@tidemark/record";
import { loadWasmZstd, nodeZstd } from "../zstd.ts";

/** The codec zstd by each library that this Node has: its own from 22.15 on, and WebAssembly always. */
export const zstdLibraries: readonly (readonly [name: string, codec: Codec])[] = [
  ...("zstdCompressSync" in zlib ? [["zstd of Node", nodeZstd] as const] : []),
  ["zstd in WebAssembly", await loadWasmZstd()],
];
