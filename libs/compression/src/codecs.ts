import { type Codec, type CodecName, type Codecs, codecNames } from "@tidemark/record";
import { gzip } from "./gzip.ts";
import { loadLz4 } from "./lz4.ts";
import { loadSnappy } from "./snappy.ts";
import { loadZstd } from "./zstd.ts";

/** Records as they are. */
const none: Codec = {
  name: "none",
  compress: (bytes) => bytes,
  decompress: (bytes, maxBytes) => (bytes.length > maxBytes ? { kind: "tooLarge" } : { kind: "ok", bytes }),
};

/** The codecs by name; a codec's id is the place of its name in `codecNames`. */
const loaders: Readonly<Record<CodecName, () => Promise<Codec>>> = {
  none: () => Promise.resolve(none),
  gzip: () => Promise.resolve(gzip),
  snappy: loadSnappy,
  lz4: loadLz4,
  zstd: loadZstd,
};

/** What this process can compress and decompress, and why it cannot do the rest. */
export interface LoadedCodecs {
  readonly codecs: Codecs;
  /** The errors of codecs whose library does not load here, as on a platform that it has no binary for. */
  readonly failures: ReadonlyMap<CodecName, Error>;
}

/**
 * Loads every codec that runs here. Never rejects: who lacks a library lacks that codec and no other. To be called once
 * at start; compressing is synchronous from then on.
 */
export async function loadCodecs(load = loaders): Promise<LoadedCodecs> {
  const codecs: Partial<Record<CodecName, Codec>> = {};
  const failures = new Map<CodecName, Error>();
  for (const name of codecNames) {
    try {
      codecs[name] = await load[name]();
    } catch (error) {
      failures.set(name, error instanceof Error ? error : new Error(String(error)));
    }
  }
  return { codecs, failures };
}

/**
 * - `unknownCodec`: nobody has a codec of this name.
 * - `unsupportedCodec`: its library did not load here, for this cause.
 */
export type CodecChoice =
  | { readonly kind: "ok"; readonly codec: Codec }
  | { readonly kind: "unknownCodec"; readonly name: string; readonly supported: readonly CodecName[] }
  | {
      readonly kind: "unsupportedCodec";
      readonly name: CodecName;
      readonly supported: readonly CodecName[];
      readonly cause: Error | undefined;
    };

/** The codec of a name that somebody gave, as a producer's `compression.type`. */
export function chooseCodec({ codecs, failures }: LoadedCodecs, name: string): CodecChoice {
  const supported = codecNames.filter((each) => codecs[each] !== undefined);
  const known = codecNames.find((each) => each === name);
  if (known === undefined) return { kind: "unknownCodec", name, supported };
  const codec = codecs[known];
  if (codec === undefined) return { kind: "unsupportedCodec", name: known, supported, cause: failures.get(known) };
  return { kind: "ok", codec };
}
