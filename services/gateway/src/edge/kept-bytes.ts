/** Bytes that came and have not gone on. */
export interface KeptBytes {
  readonly length: number;
  add(piece: Uint8Array): void;
  /** The first bytes, of which there are so many at least. */
  take(count: number): Buffer;
  takeAll(): Buffer;
}

/** A piece below this is copied, in bytes. */
const ownedAboveBytes = 16 * 1024;
/** What small pieces are copied into has this at the least and doubles up to `slabBytesMax`. */
const slabBytesMin = 64;
const slabBytesMax = 64 * 1024;

/**
 * Keeps pieces in the memory that their bytes take, twice at the most. A caller chooses how small the pieces are, and one of
 * a byte is an object of a hundred, on a buffer of the connection that it keeps alive: small ones are copied together.
 */
export function createKeptBytes(): KeptBytes {
  let pieces: Uint8Array[] = [];
  let length = 0;
  /** The last of `pieces` is its beginning, while it has room. */
  let slab: { readonly room: Uint8Array; used: number } | undefined;

  const addSmall = (piece: Uint8Array) => {
    let rest = piece;
    while (rest.length > 0) {
      if (slab === undefined || slab.used === slab.room.length) {
        const size = slab === undefined ? slabBytesMin : Math.min(slabBytesMax, slab.room.length * 2);
        slab = { room: new Uint8Array(Math.max(size, Math.min(rest.length, slabBytesMax))), used: 0 };
      } else {
        pieces.pop();
      }
      const fitting = rest.subarray(0, slab.room.length - slab.used);
      slab.room.set(fitting, slab.used);
      slab.used += fitting.length;
      pieces.push(slab.room.subarray(0, slab.used));
      rest = rest.subarray(fitting.length);
    }
  };

  const take = (count: number): Buffer => {
    const only = pieces.length === 1 ? pieces[0] : undefined;
    const all =
      only === undefined ? Buffer.concat(pieces, length) : Buffer.from(only.buffer, only.byteOffset, only.length);
    const rest = all.subarray(count);
    pieces = rest.length === 0 ? [] : [rest];
    length = rest.length;
    slab = undefined;
    return all.subarray(0, count);
  };

  return {
    get length() {
      return length;
    },
    add(piece) {
      if (piece.length >= ownedAboveBytes) {
        pieces.push(piece);
        slab = undefined;
      } else {
        addSmall(piece);
      }
      length += piece.length;
    },
    take,
    takeAll: () => take(length),
  };
}
