/** True for the keys that the store writes itself: appends of callers may not name them. */
export function isStoreKey(text: string): boolean {
  return (
    text === "/controller" ||
    text === "/controller_epoch" ||
    text === "/append" ||
    text === "/controllers" ||
    text.startsWith("/controllers/")
  );
}
