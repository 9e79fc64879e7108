import type { Offset } from "@tidemark/ids";

/**
 * | code                | cause                                                            | what happened           |
 * |---------------------|------------------------------------------------------------------|-------------------------|
 * | OFFSET_OUT_OF_RANGE | below the log start, or above the log end                        | nothing                 |
 * | INVALID_APPEND      | no whole batch, an offset or a leader epoch that goes back       | nothing was appended    |
 * | NO_SPACE            | the disk is full, or no file handle is left                      | nothing was appended    |
 * | CUTTING             | the log is being cut; append when the cut has ended              | nothing was appended    |
 * | OFFLINE             | the replica is damaged, see its `Damage`                         | nothing                 |
 * | DIRECTORY_FAILED    | the log directory failed; nothing unflushed can be relied upon   | unknown for an append   |
 * | CLOSED              | the log was closed                                               | nothing                 |
 */
export type LogErrorCode =
  | "OFFSET_OUT_OF_RANGE"
  | "INVALID_APPEND"
  | "NO_SPACE"
  | "CUTTING"
  | "OFFLINE"
  | "DIRECTORY_FAILED"
  | "CLOSED";

export class LogError extends Error {
  readonly code: LogErrorCode;

  constructor(code: LogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "LogError";
    this.code = code;
  }
}

/**
 * Why a replica is offline (L4).
 *
 * | kind           | what was found                                                                   |
 * |----------------|----------------------------------------------------------------------------------|
 * | corruptBatch   | below what was flushed, bytes that are no batch or do not match their checksum    |
 * | unreadable     | the device does not give the bytes back                                           |
 * | shortLog       | the log ends below what was noted as flushed, or below the checkpointed HW       |
 * | brokenSequence | segments that leave a hole, or offsets that go back                               |
 * | missing        | the replica is listed in its directory and is not there, or a file of it is gone  |
 */
export type DamageKind = "corruptBatch" | "unreadable" | "shortLog" | "brokenSequence" | "missing";

export interface Damage {
  readonly kind: DamageKind;
  /** The first offset that cannot be relied upon. */
  readonly offset: Offset;
  /** What was found and where, in a sentence for people. */
  readonly detail: string;
}

/** Thrown inside the log where damage is found; at its edge it becomes OFFLINE. */
export class DamageError extends Error {
  readonly damage: Damage;

  constructor(damage: Damage, options?: ErrorOptions) {
    super(damage.detail, options);
    this.name = "DamageError";
    this.damage = damage;
  }
}
