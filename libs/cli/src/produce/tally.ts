import { Reason, type RecordOutcome, reasonName } from "@tidemark/client";

/** What became of the records so far. */
export interface Tally {
  acknowledged: number;
  unknown: number;
  failed: number;
  readonly count: (outcome: RecordOutcome) => void;
  /** Like `count`, for the record of one line, which is then named where it failed. */
  readonly countLine: (outcome: RecordOutcome, line: number) => void;
  /** One line for each kind of failure. */
  complaints(): readonly string[];
}

interface Complaint {
  records: number;
  readonly message: string;
  readonly line: number | undefined;
}

/** Counts outcomes. Of each kind of failure the first one's words are kept. */
export function createTally(): Tally {
  const complaints = new Map<string, Complaint>();
  const tally: Tally = {
    acknowledged: 0,
    unknown: 0,
    failed: 0,
    count: (outcome) => note(outcome, undefined),
    countLine: note,
    complaints: () => [...complaints].map(([kind, complaint]) => describe(kind, complaint)),
  };

  function note(outcome: RecordOutcome, line: number | undefined): void {
    if (outcome.kind === "acknowledged") {
      tally.acknowledged++;
      return;
    }
    const isUnknown = outcome.kind === "unknown";
    if (isUnknown) tally.unknown++;
    else tally.failed++;
    const { reason, message } = outcome.error;
    const kind = `${isUnknown ? "unknown" : "failed"}, ${reasonName(reason)}`;
    const known = complaints.get(kind);
    if (known !== undefined) known.records++;
    else complaints.set(kind, { records: 1, message: explained(reason, message), line });
  }
  return tally;
}

function explained(reason: Reason, message: string): string {
  if (reason !== Reason.MESSAGE_TOO_LARGE) return message;
  return `${message} (\`tidemark topic create --config max.message.bytes=N\` allows more)`;
}

function describe(kind: string, { records, message, line }: Complaint): string {
  const which = line === undefined ? `${records} ${records === 1 ? "record" : "records"}` : `line ${line}`;
  const others = line !== undefined && records > 1 ? ` and ${records - 1} more` : "";
  return `${which}${others} (${kind}): ${message}`;
}
