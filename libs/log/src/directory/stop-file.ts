/**
 * `clean-stop`: the last thing that a clean stop flushes, naming the broker epoch (L10). It is removed, and that
 * flushed, when the directory is opened again.
 */
import { type BrokerEpoch, brokerEpoch } from "@tidemark/ids";
import type { Crc32c } from "@tidemark/record";
import { encodeProperties, parseProperties } from "./properties.ts";

export const stopFileName = "clean-stop";

export function encodeStop(epoch: BrokerEpoch, crc32c: Crc32c): Uint8Array {
  return encodeProperties({ "broker.epoch": String(epoch), crc32c: String(checksum(epoch, crc32c)) });
}

/** The broker epoch that stopped cleanly. Undefined for a file that is not whole, which is no clean stop. */
export function parseStop(bytes: Uint8Array, crc32c: Crc32c): BrokerEpoch | undefined {
  const properties = parseProperties(bytes);
  const epoch = Number(properties?.get("broker.epoch") ?? Number.NaN);
  if (!Number.isInteger(epoch) || epoch < 0) return undefined;
  return properties?.get("crc32c") === String(checksum(epoch, crc32c)) ? brokerEpoch(epoch) : undefined;
}

function checksum(epoch: number, crc32c: Crc32c): number {
  return crc32c(new TextEncoder().encode(`clean stop of broker epoch ${epoch}`));
}
