import type { ByteWriter } from "@tidemark/consensus/store";
import { directoryId } from "@tidemark/ids";
import type { Member, Membership } from "@tidemark/raft";
import type { ByteReader } from "./checked-record.ts";

/** Voters, then learners, each list behind its length u16: id and address, each a text behind its length u16. */
export function writeMembership(writer: ByteWriter, { voters, learners }: Membership): void {
  for (const members of [voters, learners]) {
    writer.u16(members.length);
    for (const { id, address } of members) {
      writer.key(id);
      writer.key(address);
    }
  }
}

/** Throws MalformedBytesError, or a RangeError for what is no id. */
export function readMembership(reader: ByteReader): Membership {
  const readMembers = () =>
    Array.from({ length: reader.u16() }, (): Member => ({ id: directoryId(reader.key()), address: reader.key() }));
  return { voters: readMembers(), learners: readMembers() };
}
