import { type ControllerId, controllerId } from "@tidemark/ids";

/** A member's address: its controller id, and where its `internal` listener is reached. */
export interface MemberAddress {
  readonly controllerId: ControllerId;
  /** host:port */
  readonly endpoint: string;
}

/** `id@host:port` */
export function formatAddress({ controllerId: id, endpoint }: MemberAddress): string {
  return `${id}@${endpoint}`;
}

/** Throws a RangeError for anything but `id@host:port`. */
export function parseAddress(text: string): MemberAddress {
  const match = /^(\d{1,10})@([^\s@]{1,255}:\d{1,5})$/.exec(text);
  if (match === null) throw new RangeError(`a member is id@host:port, not ${JSON.stringify(text)}`);
  return { controllerId: controllerId(Number(match[1])), endpoint: match[2] ?? "" };
}
