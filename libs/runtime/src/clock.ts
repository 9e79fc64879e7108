/** Time comes in by the constructor. Every verdict about elapsed time uses the monotonic reading. */
export interface Clock {
  /** Milliseconds since an arbitrary start, with fractions. Never goes back, whatever happens to the wall clock. */
  monotonicMs(): number;
  /** Milliseconds since 1970 by the wall clock, whole. May jump in both directions: for timestamps that people read. */
  wallMs(): number;
}
