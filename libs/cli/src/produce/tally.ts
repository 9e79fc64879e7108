import { Reason, type RecordOutcome, reasonName, type TidemarkError } from "@tidemark/client";

/** What became of the records so far. */
export interface Tally {
  acknowledged: number;
  unknown: number;
  failed: number;
  readonly count: (outcome: RecordOutcome) => void;
  /** Like `count`, for the record of one line, which is then named where it failed. */
  readonly countLine: (outcome: RecordOutcome, line: number) => void;
  /** The record of one line that no topic can take: it was not even tried. */
  readonly skipLine: (error: TidemarkError, line: number) => void;
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
    count: (outcome) => count(outcome, undefined),
    countLine: count,
    skipLine(error, line) {
      tally.failed++;
      note("failed", { error, line, way: "" });
    },
    complaints: () => [...complaints].map(([kind, complaint]) => describe(kind, complaint)),
  };

  function count(outcome: RecordOutcome, line: number | undefined): void {
    if (outcome.kind === "acknowledged") {
      tally.acknowledged++;
      return;
    }
    const { kind, error } = outcome;
    if (kind === "unknown") tally.unknown++;
    else tally.failed++;
    note(kind === "unknown" ? "unknown" : "failed", { error, line, way: wayOut(error) });
  }

  function note(what: string, { error, line, way }: Failure): void {
    const kind = `${what}, ${reasonName(error.reason)}`;
    const known = complaints.get(kind);
    if (known !== undefined) known.records++;
    else complaints.set(kind, { records: 1, message: `${error.message}${way}`, line });
  }
  return tally;
}

interface Failure {
  readonly error: TidemarkError;
  readonly line: number | undefined;
  /** What is said behind the error's own words. */
  readonly way: string;
}

function wayOut({ reason }: TidemarkError): string {
  if (reason !== Reason.MESSAGE_TOO_LARGE) return "";
  return " (`tidemark topic create --config max.message.bytes=N` allows more)";
}

function describe(kind: string, { records, message, line }: Complaint): string {
  const which = line === undefined ? `${records} ${records === 1 ? "record" : "records"}` : `line ${line}`;
  const others = line !== undefined && records > 1 ? ` and ${records - 1} more` : "";
  return `${which}${others} (${kind}): ${message}`;
}
