import { invalidArgument } from "@tidemark/rpc";

/**
 * The options that are there. One that is given as undefined is absent: programs hand on what they may not have, and an
 * option that silently became none would take idempotence or a timeout away.
 */
export function optionsGiven<Options extends object>(given: Options): Options {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Options;
}

/** Throws REASON_INVALID_ARGUMENT where the value is no number, or one below the least. Infinity is one. */
export function checkNumber(name: string, value: unknown, least: number): void {
  if (typeof value === "number" && value >= least) return;
  throw invalidArgument(`${name} is ${String(value)}: give a number from ${least} on`);
}

/** Throws REASON_INVALID_ARGUMENT where the value does not fit a request's field of 32 bits, or is below the least. */
export function checkUint32(name: string, value: unknown, least: number): void {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value < 2 ** 32) return;
  throw invalidArgument(`${name} is ${String(value)}: give a whole number from ${least} to ${2 ** 32 - 1}`);
}

/** Throws REASON_INVALID_ARGUMENT where the value is none of those named. */
export function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (typeof value === "string" && choices.includes(value)) return;
  throw invalidArgument(`${name} is ${String(value)}: give one of ${choices.join(", ")}`);
}

/** Throws REASON_INVALID_ARGUMENT where the value is not host:port, an IPv6 address in brackets. */
export function checkEndpoint(name: string, value: unknown): void {
  const [, port] = (typeof value === "string" ? /^(?:\[[^[\]\s]+\]|[^:/[\]\s]+):(\d{1,5})$/.exec(value) : null) ?? [];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return;
  throw invalidArgument(`${name} is ${String(value)}: give host:port, such as 127.0.0.1:4640 or [::1]:4640`);
}
