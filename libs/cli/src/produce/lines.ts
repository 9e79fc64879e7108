/** Where the lines of an input go. */
export interface LineListener {
  /** One line without its `\n`. The bytes are valid during the call alone. */
  onLine(line: Uint8Array): void;
  /** A line of more than the allowed bytes, which were not kept. `length` counts all of them. */
  onLongLine(length: number): void;
}

export interface LineSplitter {
  push(chunk: Uint8Array): void;
  /** The input is over: what stands behind the last `\n` is a line too, unless it is empty. */
  end(): void;
}

const newline = 0x0a;

/**
 * Cuts bytes into lines at `\n` and nothing else: `\r` and NUL belong to the line, an empty line is a line, and nothing is
 * decoded. A line of more than `lineBytesMax` bytes is counted and dropped as it comes, so memory stays bounded.
 */
export function createLineSplitter(lineBytesMax: number, listener: LineListener): LineSplitter {
  let pieces: Uint8Array[] = [];
  let length = 0;

  const keep = (piece: Uint8Array) => {
    length += piece.length;
    if (length > lineBytesMax) pieces = [];
    else if (piece.length > 0) pieces.push(Buffer.from(piece));
  };

  const finish = (rest: Uint8Array) => {
    if (length === 0 && rest.length <= lineBytesMax) {
      listener.onLine(rest);
      return;
    }
    keep(rest);
    if (length > lineBytesMax) listener.onLongLine(length);
    else listener.onLine(pieces.length === 1 ? (pieces[0] ?? rest) : Buffer.concat(pieces));
    pieces = [];
    length = 0;
  };

  return {
    push(chunk) {
      let from = 0;
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
        finish(chunk.subarray(from, at));
        from = at + 1;
      }
      if (from < chunk.length) keep(chunk.subarray(from));
    },
    end() {
      if (length > 0) finish(new Uint8Array());
    },
  };
}
