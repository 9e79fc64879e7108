// eslint-disable-next-line no-restricted-imports -- the image is a part of the program: it is read as its modules are.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** The descriptors of everything that can be spoken here: an encoded google.protobuf.FileDescriptorSet. */
export function readImage(): Uint8Array {
  return readFileSync(createRequire(import.meta.url).resolve("@tidemark/proto/image"));
}
