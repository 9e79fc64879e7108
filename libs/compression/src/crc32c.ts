import { createRequire } from "node:module";
import { type Crc32c, portableCrc32c } from "@tidemark/record";

const require = createRequire(import.meta.url);

/**
 * CRC-32C by the processor's own instruction; where no binary was made for the platform, or optional packages were not
 * installed, in plain JavaScript. Both give the same values.
 */
export const crc32c: Crc32c = chooseCrc32c(() => require("@node-rs/crc32") as NativeCrc32);

interface NativeCrc32 {
  readonly crc32c: Crc32c;
}

/** What `load` brings, or the portable one when it throws. */
export function chooseCrc32c(load: () => NativeCrc32): Crc32c {
  try {
    return load().crc32c;
  } catch {
    return portableCrc32c;
  }
}
