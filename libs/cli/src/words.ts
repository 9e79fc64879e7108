/** A value of one of the API's enums as a word for people: CONNECTION_LOST is `connection lost`. */
export function wordOf(names: Readonly<Record<string, number>>, value: number): string {
  const name = Object.entries(names).find(([, each]) => each === value)?.[0];
  return name === undefined ? String(value) : name.toLowerCase().replaceAll("_", " ");
}

/** A time of the API in ISO 8601, by UTC. Empty where it is not stated. */
export function timeOf(time: { readonly seconds: bigint; readonly nanos: number } | undefined): string {
  if (time === undefined) return "";
  return new Date(Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6)).toISOString();
}
